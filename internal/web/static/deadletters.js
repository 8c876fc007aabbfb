// One box that ticks all of the page. Without scripts there is "Replay all".
"use strict";
(() => {
  const all = document.querySelector("#tick-all");
  if (!all) return;
  all.hidden = false;
  const boxes = () => [...document.querySelectorAll("#letters input[name=letter]")];
  const box = all.querySelector("input");
  box.addEventListener("change", () => { for (const one of boxes()) one.checked = box.checked; });
  document.querySelector("#letters").addEventListener("change", () => {
    const ticked = boxes().filter((one) => one.checked).length;
    box.checked = ticked === boxes().length;
    box.indeterminate = ticked > 0 && !box.checked;
  });
})();
