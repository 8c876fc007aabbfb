// Live tail: rows as they come, pause, and a pane that opens without losing
// the stream. The server decides what fits the filter; this only shows it.
"use strict";
(() => {
  const { $, $$, say, local, tabs } = window.causeway;
  const live = $("#live"), body = $("#rows");
  if (!live || !live.dataset.stream) return;

  const shown = 200;      // rows that are kept on the page
  const buffered = 1000;  // rows that wait while paused
  const pause = $("#pause"), state = $("#state"), stateText = $("#state-text"), fresh = $("#new"), skipped = $("#skipped");
  let source = null, last = "", paused = false, waiting = [], dropped = 0, missed = 0, broken = false, news = 0, bad = 0;

  const element = (name, className, text) => {
    const e = document.createElement(name);
    if (className) e.className = className;
    if (text !== undefined) e.textContent = text;
    return e;
  };
  const tone = (outcome) => {
    if (["stored", "delivered", "running"].includes(outcome)) return ["good", "✓"];
    if (["ignored", "duplicate", "idle"].includes(outcome)) return ["dim", "·"];
    if (["retry", "halved"].includes(outcome)) return ["warn", "!"];
    return ["bad", "✕"];
  };

  const row = (item) => {
    const tr = element("tr", "fresh");
    tr.dataset.row = "";
    tr.dataset.kind = item.kind;
    const time = element("td", "mono nowrap"), stamp = element("time", "", item.time.slice(11, 23));
    stamp.dateTime = item.time;
    time.append(stamp);
    const type = element("td"), pill = element("span", item.kind === "call" ? "pill" : "pill dim", item.kind === "call" ? item.type : item.kind);
    type.append(pill);
    const what = element("td");
    const summary = item.summary.replaceAll(" -> ", " → ");
    what.title = summary;
    const id = item.kind === "call" && item.detail && item.detail.messageId;
    if (id) {
      tr.dataset.message = id;
      const link = element("a", "", summary);
      link.href = "/trace/" + encodeURIComponent(id) + "?env=" + encodeURIComponent(live.dataset.env);
      what.append(link);
    } else {
      what.textContent = summary;
      tr.dataset.detail = JSON.stringify(item.detail === undefined ? item : item.detail, null, 2);
    }
    const outcome = element("td"), [colour, sign] = tone(item.outcome);
    outcome.append(element("span", "outcome " + colour, sign + " " + item.outcome));
    tr.append(time, type, what, outcome, element("td", "muted", item.configuration || ""));
    return tr;
  };

  // flush puts what came on top, once per frame of the screen.
  let scheduled = false;
  const flush = () => {
    scheduled = false;
    if (paused || !waiting.length) return;
    const fragment = document.createDocumentFragment();
    for (const item of waiting.slice(-shown).reverse()) fragment.append(row(item));
    waiting = [];
    $("#empty").hidden = true;
    body.prepend(fragment);
    while (body.rows.length > shown) body.rows[body.rows.length - 1].remove();
    local(body);
    tellSkipped();
  };
  const tellSkipped = () => {
    skipped.hidden = missed === 0 && !broken;
    const texts = [];
    if (missed) texts.push(missed.toLocaleString("en") + " skipped: more came than can be read. Narrow the filter to see all of it.");
    if (broken) texts.push("The stream was interrupted. Reload the page to see what came meanwhile.");
    skipped.textContent = texts.join(" ");
  };
  const take = (item) => {
    waiting.push(item);
    news++;
    if (!["stored", "delivered", "ignored", "duplicate"].includes(item.outcome)) bad++;
    if (waiting.length > buffered) { waiting.shift(); dropped++; }
    if (paused) {
      fresh.hidden = false;
      fresh.textContent = (waiting.length + dropped).toLocaleString("en") + " new" + (dropped ? " (the oldest " + dropped.toLocaleString("en") + " are let go)" : "") + " · resume";
    } else if (!scheduled) {
      scheduled = true;
      requestAnimationFrame(flush);
    }
  };

  const show = (className, text) => { state.className = "nowrap " + className; stateText.textContent = text; };

  // Over HTTP/1.1 a browser has six connections to a host, for all its windows
  // together. Four may be streams that stay open. A window that finds no place
  // takes turns: its stream ends with what there is, and it comes again in two
  // seconds. Places are locks, which a browser takes back from a closed window.
  const places = 4;
  let leave = null; // gives the place back
  const takePlace = async () => {
    if (!navigator.locks) return true; // an address that is neither local nor TLS: nothing is known of other windows
    for (let i = 0; i < places && !leave; i++) {
      await new Promise((tried) => navigator.locks.request("causeway-live-" + i, { ifAvailable: true }, (lock) => {
        if (!lock || leave) { tried(); return null; }
        return new Promise((release) => { leave = release; tried(); });
      }).catch(tried));
    }
    return leave !== null;
  };

  let before = false; // a stream was open here already
  let wanted = 0; // the newest call of open: an older one that waited gives up
  const open = async () => {
    if (source) return;
    const mine = ++wanted, stays = await takePlace();
    if (mine !== wanted || source) return;
    if (before && !last) broken = true; // nothing says where to go on
    before = true;
    const opened = source = new EventSource(live.dataset.stream + (last ? "&after=" + encodeURIComponent(last) : "") + (stays ? "" : "&turn=1"));
    opened.addEventListener("open", () => show(paused ? "paused" : "on", paused ? "paused" : "live"));
    opened.addEventListener("item", (event) => { last = event.lastEventId || last; take(JSON.parse(event.data)); });
    opened.addEventListener("gap", (event) => {
      const gap = JSON.parse(event.data);
      if (gap.missed == null) broken = true; // nobody knows how much, as after a restart
      else missed += gap.missed;
      if (!paused) tellSkipped();
    });
    opened.addEventListener("error", () => {
      if (opened.readyState === EventSource.CLOSED) {
        // Refused: no place, signed out, or the server stopped. Try again slowly.
        close();
        show("dim", "no stream; trying again");
        setTimeout(() => { if (!document.hidden) open(); }, 5000);
      } else if (stays) {
        show("dim", "connecting");
      }
    });
  };
  const close = () => {
    wanted++;
    if (source) { source.close(); source = null; }
    if (leave) { leave(); leave = null; }
  };

  const setPaused = (on) => {
    paused = on;
    pause.setAttribute("aria-pressed", on);
    $("span", pause).textContent = on ? "Resume" : "Pause";
    show(on ? "paused" : "on", on ? "paused" : "live");
    say(on ? "Paused" : "Live");
    if (!on) {
      missed += dropped;
      dropped = 0;
      fresh.hidden = true;
      flush();
    }
  };
  pause.hidden = false;
  pause.addEventListener("click", () => setPaused(!paused));
  fresh.addEventListener("click", () => setPaused(false));
  document.addEventListener("keydown", (event) => {
    if (event.key === " " && event.target === document.body) { event.preventDefault(); setPaused(!paused); }
  });

  // A tab that nobody sees gives its place back, and goes on where it was.
  document.addEventListener("visibilitychange", () => { if (document.hidden) { close(); show("dim", "not live"); } else open(); });
  addEventListener("pagehide", close);
  addEventListener("pageshow", () => { if (!document.hidden) open(); });
  setInterval(() => {
    if (news && !document.hidden) say(news + " new" + (bad ? ", " + bad + " of them not kept" : ""));
    news = bad = 0;
  }, 10000);

  // The pane.
  const pane = $("#pane"), paneBody = $("#pane-body"), title = $("#pane-title");
  let opened = null;
  const shut = () => {
    pane.hidden = true;
    live.classList.remove("open");
    for (const one of $$("tr[aria-selected]", body)) one.removeAttribute("aria-selected");
    if (opened && opened.isConnected) ($("a", opened) || opened).focus?.();
    opened = null;
  };
  const openRow = async (tr, focus) => {
    for (const one of $$("tr[aria-selected]", body)) one.removeAttribute("aria-selected");
    tr.setAttribute("aria-selected", "true");
    opened = tr;
    pane.hidden = false;
    live.classList.add("open");
    title.textContent = tr.cells[2].textContent.trim().slice(0, 120);
    if (focus) title.focus();
    if (!tr.dataset.message) {
      const pre = element("pre"), code = element("code", "", tr.dataset.detail || "");
      pre.append(code);
      paneBody.replaceChildren(pre);
      return;
    }
    paneBody.textContent = "…";
    const link = $("a", tr).href;
    try {
      const answer = await fetch(link, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const copy = page.querySelector("#copies .card");
      if (opened !== tr) return;
      if (copy) {
        copy.querySelector("h2")?.remove();
        paneBody.replaceChildren(...copy.childNodes);
        const more = element("p", "actions"), whole = element("a", "button small", "Trace");
        whole.href = link;
        more.append(whole);
        paneBody.append(more);
        tabs(paneBody);
        local(paneBody);
      } else {
        paneBody.textContent = "It is on its way to the store. Open it again in a moment.";
      }
    } catch {
      if (opened === tr) paneBody.textContent = "It could not be read. The server may be away.";
    }
  };
  body.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || getSelection().toString()) return;
    const tr = event.target.closest("tr");
    if (!tr) return;
    event.preventDefault();
    openRow(tr, event.detail === 0);
  });
  body.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.tagName === "TR") openRow(event.target, true);
  });
  $("#pane-close").addEventListener("click", shut);
  document.addEventListener("causeway:close", () => { if (!pane.hidden) shut(); });

  open();
})();
