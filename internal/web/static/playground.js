// The playground: Ctrl+Enter translates; a link carries the calls after the
// #, so that they never reach a server before somebody presses the button.
"use strict";
(() => {
  const { $, say } = window.causeway;
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("#try")?.requestSubmit();
  });
  const share = () => {
    const button = $("#share");
    if (!button) return;
    button.hidden = false;
    button.onclick = async () => {
      const link = location.origin + "/playground?destination=" + encodeURIComponent($("#destination").value) + "#" + encodeURIComponent($("#calls").value);
      try { await navigator.clipboard.writeText(link); $("span", button).textContent = "Copied"; say("Copied"); } catch { location.hash = encodeURIComponent($("#calls").value); }
    };
  };
  share();
  document.addEventListener("htmx:load", share);
  if (location.hash.length > 1) {
    try { $("#calls").value = decodeURIComponent(location.hash.slice(1)); } catch { /* not made by this page */ }
  }
})();
