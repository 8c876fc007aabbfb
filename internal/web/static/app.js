// What every page uses: shortcuts, copying, the environment switch. Pages work
// without it; it makes them quicker.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

  // say tells who listens to the page instead of looking at it.
  const say = (text) => { const said = $("#said"); if (said) said.textContent = text; };

  // Forms that are sent as soon as something is chosen.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-submit-on-change]");
    if (form) form.requestSubmit();
  });

  // Copy buttons: data-copy names the element whose text is copied.
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const label = $("span", copy) || copy, before = label.textContent;
      try {
        await navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent);
        label.textContent = "Copied";
        say("Copied");
      } catch {
        label.textContent = "Press Ctrl+C";
        getSelection().selectAllChildren(document.getElementById(copy.dataset.copy));
      }
      setTimeout(() => { label.textContent = before; }, 1500);
    }
    const open = event.target.closest("[data-open]");
    if (open) document.getElementById(open.dataset.open).showModal();
    for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  // Forms that ask before they do something that cannot be undone.
  document.addEventListener("submit", (event) => {
    const sure = event.submitter?.dataset.confirm || event.target.dataset.confirm;
    if (sure && !confirm(sure)) event.preventDefault();
  });

  // Times are in UTC; the reader's own time is one hover away.
  const local = (root) => {
    for (const t of $$("time[datetime]:not([title])", root)) t.title = new Date(t.getAttribute("datetime")).toLocaleString() + " (your time)";
  };
  local(document);
  document.addEventListener("htmx:load", (event) => local(event.detail.elt));

  // Tabs: [data-tabs] holds the buttons. Without scripts all panels show.
  const tabs = (root) => {
    for (const list of $$("[data-tabs]", root)) {
      const all = $$("[role=tab]", list);
      const select = (tab, focus) => {
        for (const one of all) {
          const chosen = one === tab;
          one.setAttribute("aria-selected", chosen);
          one.tabIndex = chosen ? 0 : -1;
          document.getElementById(one.getAttribute("aria-controls")).hidden = !chosen;
        }
        if (focus) tab.focus();
      };
      select(all.find((t) => t.getAttribute("aria-selected") === "true") || all[0]);
      list.addEventListener("click", (event) => { const tab = event.target.closest("[role=tab]"); if (tab) select(tab); });
      list.addEventListener("keydown", (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (by) { event.preventDefault(); select(all[(all.indexOf(document.activeElement) + by + all.length) % all.length], true); }
      });
    }
  };
  tabs(document);

  // Shortcuts. One key at a time can be switched off (WCAG 2.1.4).
  const off = $("#the-keys-off");
  const isOff = () => { try { return localStorage.getItem("causeway-keys") === "off"; } catch { return false; } };
  if (off) {
    off.checked = isOff();
    off.addEventListener("change", () => { try { localStorage.setItem("causeway-keys", off.checked ? "off" : "on"); } catch { /* private window */ } });
  }
  const rows = () => $$("[data-rows] > [data-row], [data-rows] tbody > tr");
  const moveRow = (by) => {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.classList.contains("current"));
    const row = all[Math.min(Math.max(at + by, 0), all.length - 1)];
    for (const other of all) other.classList.remove("current");
    row.classList.add("current");
    const link = $("a, button", row) || row;
    if (link === row) row.tabIndex = -1;
    link.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  };
  let chord = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key === "Escape") {
      if (typing) event.target.blur();
      for (const menu of $$("details.menu[open]")) {
        if (menu.contains(document.activeElement)) $("summary", menu).focus();
        menu.open = false;
      }
      document.dispatchEvent(new CustomEvent("causeway:close"));
      return;
    }
    if (typing || isOff() || $("dialog[open]")) return;
    if (chord && event.timeStamp - chord < 1500) {
      chord = 0;
      const link = $(`[data-go="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); location.href = link.href; }
      return;
    }
    switch (event.key) {
      case "/": {
        const box = $("[data-search]") || $("[data-key='/']");
        if (box) { event.preventDefault(); box.focus(); box.select(); }
        break;
      }
      case "g": chord = event.timeStamp; break;
      case "j": moveRow(1); break;
      case "k": moveRow(-1); break;
      case "?": $("#the-keys")?.showModal(); break;
    }
  });

  // Nobody looks: nothing is brought up to date.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.detail.requestConfig.verb === "get") event.preventDefault();
  });

  // What htmx replaces keeps the focus by id; a request that fails says so.
  document.addEventListener("htmx:responseError", () => say("The page could not be brought up to date."));
  window.causeway = { $, $$, say, local, tabs };
})();
