// Makes pages live and quicker to use. Without it every page works all the same.
"use strict";
(() => {
  const body = document.body, $ = (q, of = document) => of.querySelector(q), $$ = (q, of = document) => [...of.querySelectorAll(q)];
  const policy = window.trustedTypes ? trustedTypes.createPolicy("s0", { createHTML: text => text }) : { createHTML: text => text };

  // A link of the command line: the token is in the fragment, which no log sees.
  const enter = $("#enter");
  if (enter) {
    const token = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
    if (token) { enter.token.value = token; enter.submit(); } else location.replace("/ui/sign-in");
    return;
  }

  // The zone of this browser, for the pages that follow.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes("s0_tz=" + zone)) {
    const isFirst = !document.cookie.includes("s0_tz=");
    document.cookie = "s0_tz=" + zone + "; Path=/ui; Max-Age=31536000; SameSite=Lax";
    if (isFirst && zone !== "UTC" && document.cookie.includes("s0_tz=") && body.dataset.live !== undefined) { location.reload(); return; }
  }

  // Times as seen from now, by the clock of the scheduler. The words are those of the server.
  let skew = Number(body.dataset.now) - Date.now();
  const now = () => Date.now() + skew;
  const relative = (at, from) => {
    const s = Math.trunc(Math.abs(at - from) / 1000);
    if (s === 0) return "now";
    const length = s < 60 ? s + " s" : s < 3600 ? Math.trunc(s / 60) + " min" : s < 172800 ? Math.trunc(s / 3600) + " h" : Math.trunc(s / 86400) + " d";
    return at > from ? "in " + length : length + " ago";
  };
  const tell = () => {
    if (document.hidden) return;
    for (const time of $$("time[data-rel]")) {
      const words = relative(Date.parse(time.dateTime), now());
      if (time.textContent !== words) time.textContent = words;
    }
  };
  setInterval(tell, 1000);

  // Menus close by Escape, by a click beside them, and when another one opens.
  const menus = () => $$("details.menu[open], details.fold[open]");
  document.addEventListener("click", event => {
    for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
    const code = event.target.closest?.("[data-copy]");
    if (code && !code.dataset.said && !String(getSelection())) copy(code.textContent, code);
    const row = event.target.closest?.("tr[data-href]");
    if (row && !event.target.closest("a, button, summary, input, form, details") && !String(getSelection())) {
      if (event.ctrlKey || event.metaKey) open(row.dataset.href, "_blank", "noopener"); else location.assign(row.dataset.href);
    }
  });

  // A button that works says so, and cannot be pressed twice.
  document.addEventListener("submit", event => {
    const form = event.target;
    if (form.getAttribute("method") !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    setTimeout(() => { if (form.dataset.sent) for (const button of $$("button", form)) button.setAttribute("aria-disabled", "true"); }, 300);
    // A sending that was stopped tells nobody; its key makes a second one harmless.
    setTimeout(release, 10000);
  });
  const release = () => { for (const form of $$("form[data-sent]")) { delete form.dataset.sent; for (const button of $$("button", form)) button.removeAttribute("aria-disabled"); } };
  addEventListener("pageshow", event => {
    release();
    if (event.persisted) { refreshAll(); start(); }
  });

  // Copying works on plain http, too.
  const copy = async (text, button) => {
    let done = false;
    try { await navigator.clipboard.writeText(text); done = true; } catch {
      const area = document.createElement("textarea");
      area.value = text; area.className = "hidden"; body.append(area); area.select();
      try { done = document.execCommand("copy"); } catch {}
      area.remove();
    }
    if (!done || button.dataset.said) return;
    const said = button.lastChild, before = said.textContent;
    button.dataset.said = "1"; said.textContent = "Copied";
    setTimeout(() => { said.textContent = before; delete button.dataset.said; }, 1500);
  };
  for (const button of $$("[data-copy-text]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button.dataset.copyText, button));
  }

  // A file that is chosen goes into the text area beside it, which is sent.
  for (const file of $$("[data-into]")) {
    file.closest(".field").hidden = false;
    file.addEventListener("change", async () => { if (file.files[0]) $("#" + file.dataset.into).value = await file.files[0].text(); });
  }

  // The editor: what a schedule means, while it is entered.
  const editor = $("form[data-preview]"), preview = $("#preview");
  if (editor && preview) {
    let timer, asked = 0, shown = "";
    const ask = async () => {
      const query = new URLSearchParams({ part: "preview" });
      for (const name of ["when", "spec", "at", "after", "timezone", "dst", "start", "end", "jitter"]) {
        const field = editor.elements[name];
        if (field?.value) query.set(name, field.value);
      }
      const own = ++asked;
      const answer = await fetch(editor.dataset.preview + "?" + query).catch(() => null);
      if (!answer || !answer.ok || own !== asked) return;
      const text = await answer.text();
      if (text !== shown) { shown = text; preview.innerHTML = policy.createHTML(text); }
    };
    editor.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 300); });
    editor.addEventListener("change", () => { clearTimeout(timer); timer = setTimeout(ask, 50); });
  }

  // Keys, off in inputs.
  let before = "";
  const places = { o: "/ui", j: "/ui/jobs", a: "/ui/activity", p: "/ui/problems", f: "/ui/forecast", t: "/ui/templates", d: "/ui/dead-letters", w: "/ui/workers", c: "/ui/cluster" };
  document.addEventListener("keydown", event => {
    const at = event.target;
    if (event.key === "Escape") { release(); for (const menu of menus()) { menu.open = false; $("summary", menu).focus(); } if (at.matches?.("[data-search]")) at.blur(); return; }
    const search = $("[data-search]");
    const inField = at.closest?.("input:not(.pick), textarea, select, [contenteditable]");
    if (search && ((event.key === "/" && !inField) || (event.key === "k" && (event.ctrlKey || event.metaKey)))) { event.preventDefault(); search.focus(); search.select(); return; }
    if (inField || event.ctrlKey || event.metaKey || event.altKey) return;
    if (before === "g" && places[event.key]) { before = ""; location.assign(places[event.key]); return; }
    if (event.key === "j" || event.key === "k") {
      const rows = $$("tr[data-href] .lead a"), own = rows.indexOf(document.activeElement);
      const next = rows[own < 0 ? 0 : own + (event.key === "j" ? 1 : -1)];
      if (next) { next.focus(); event.preventDefault(); }
    }
    const row = event.key === "x" && at.closest?.("tr");
    if (row && $(".pick", row)) $(".pick", row).click();
    if (event.key === ".") toggle();
    before = event.key;
    setTimeout(() => { before = ""; }, 1000);
  });

  // Live: an event marks the parts that name its type, and each marked part is fetched again.
  const parts = () => $$("[data-part]");
  // The answer to a form is at an address that only takes forms.
  const here = body.dataset.here || location.pathname + location.search;
  const state = $("#live");
  const tags = new Map(), due = new Set(), busy = new Set(), waits = new Map();
  let source, paused = false, wait = 1000, retry, quiet, stalled, failures = 0, addresses = [], hiddenTimer, version = body.dataset.version;

  const say = (name, words) => { if (state) { state.hidden = false; state.dataset.state = name; $("span", state).textContent = words; } };
  const inUse = part => part.contains(document.activeElement) && document.activeElement !== body && document.activeElement.closest("input:not(.pick), textarea, select, details[open], form") ||
    $("details.menu[open]", part) || (String(getSelection()) && part.contains(getSelection().anchorNode));
  const refresh = async part => {
    const name = part.dataset.part;
    if (busy.has(name) || inUse(part)) { due.add(name); return; }
    busy.add(name); due.delete(name);
    let pause = 800;
    try {
      const url = new URL(here, location.href);
      url.searchParams.set("part", name); url.hash = "";
      const headers = tags.has(name) ? { "if-none-match": tags.get(name) } : {};
      const answer = await fetch(url, { headers, cache: "no-store", signal: AbortSignal.timeout(30000) });
      if (answer.status === 401) { location.reload(); return; }
      if (answer.status === 429 || answer.status > 499) throw answer;
      waits.delete(name);
      // A page without this part any more has no tag.
      const tag = answer.headers.get("etag");
      if (answer.status !== 200 || !tag) return;
      const text = await answer.text();
      if (inUse(part)) { due.add(name); return; }
      tags.set(name, tag);
      replace(part, text);
    } catch { due.add(name); pause = Math.min((waits.get(name) || 500) * 2, 30000); waits.set(name, pause); } finally { setTimeout(() => { busy.delete(name); drain(); }, pause); }
  };
  // Keeps what is open, ticked and focused, and shows what changed. Rows do not move under the
  // pointer: those that are new wait behind a button then.
  const key = row => { const attempt = $("[data-label=Try]", row); return row.dataset.href + (attempt ? "#" + attempt.textContent : ""); };
  const seen = row => row.dataset.href + row.textContent.replace(/\d+ (s|min|h|d) ago|in \d+ (s|min|h|d)|now/g, "");
  const replace = (part, text, all) => {
    const box = document.createElement("div");
    box.innerHTML = policy.createHTML(text);
    const fresh = box.firstElementChild;
    if (!fresh) return;
    const opened = $$("details", part).map(one => one.open), focus = document.activeElement;
    const named = one => one.getAttribute("href") || one.textContent;
    const place = part.contains(focus) && focus.tagName, name = place && named(focus);
    $$("details", fresh).forEach((one, at) => { if (opened[at]) one.open = true; });
    const ticked = new Set($$(".pick:checked", part).map(one => one.value));
    for (const one of $$(".pick", fresh)) one.checked = ticked.has(one.value);
    const rows = $$("tr[data-href]", part), theirs = $$("tr[data-href]", fresh), known = new Set(rows.map(seen));
    if (known.size) for (const row of theirs) if (!known.has(seen(row))) row.classList.add("changed");
    const mine = new Map(rows.map(row => [key(row), row])), more = theirs.filter(row => !mine.has(key(row))).length;
    if (!all && more && mine.size && part.matches(":hover")) {
      for (const row of theirs) { const old = mine.get(key(row)); if (old) old.replaceWith(row); }
      let pill = $(".pill", part);
      if (!pill) { pill = document.createElement("button"); pill.type = "button"; pill.className = "pill button small primary"; part.prepend(pill); }
      pill.textContent = more + " new";
      pill.onclick = () => replace(part, text, true);
      return;
    }
    part.replaceWith(fresh);
    const again = place && $$(place, fresh).find(one => named(one) === name);
    if (again) again.focus();
    tell();
  };
  const want = part => due.add(part.dataset.part);
  const mark = type => {
    // What stands for several changes of runs marks the parts of each.
    const marks = type === "runs_changed" ? ["run_accepted", "run_lost", "run_cancelled", "job_progress"] : [type];
    for (const part of parts()) if (part.dataset.on.split(" ").some(one => marks.includes(one))) want(part);
    setTimeout(drain);
  };
  $$("[data-late]").forEach(want);
  function refreshAll() { parts().forEach(want); }
  // What an idle part waits for is fetched at once, and each part once a second at most.
  function drain() { if (!document.hidden && !paused) for (const part of parts()) if (due.has(part.dataset.part)) refresh(part); }
  setInterval(drain, 500);

  const notice = (id, kind, words, links) => {
    let box = $("#" + id);
    if (!words) { if (box) box.remove(); return; }
    if (box) return;
    box = document.createElement("div");
    box.id = id; box.className = "banner " + kind; box.setAttribute("role", "alert");
    const text = document.createElement("div");
    text.append(words, " ");
    for (const [words, href] of links) {
      const link = document.createElement("a");
      link.href = href; link.textContent = words;
      text.append(link, " ");
    }
    box.append(text); $("#banners").append(box);
  };
  let last = new Date();
  const banner = on => notice("away", "b-bad", on && "Node " + body.dataset.node + " does not answer. What you see is of " + last.toLocaleTimeString() + ".",
    addresses.map(([words, address]) => ["Open " + words, address + here]));
  const heard = () => {
    clearTimeout(quiet); clearTimeout(stalled); banner(false); failures = 0; wait = 1000; last = new Date();
    quiet = setTimeout(reopen, 25000);
  };
  const close = () => { if (source) source.close(); source = null; clearTimeout(quiet); clearTimeout(retry); };
  // A node that is frozen answers nothing at all, so that each wait has an end.
  const ask = () => fetch("/livez", { cache: "no-store", signal: AbortSignal.timeout(3000) }).then(answer => banner(!answer.ok), () => banner(true));
  function reopen() {
    close(); failures++;
    if (failures > 1) say("wait", "Reconnecting");
    if (failures === 2) { clearTimeout(stalled); stalled = setTimeout(ask, 4000); }
    retry = setTimeout(start, wait);
    wait = Math.min(wait * 1.6, 15000);
  }
  const types = "job_created job_deleted job_updated job_terminated job_progress run_accepted run_lost run_cancelled runs_changed executions execution dead_letter dead_letters_changed project_changed executor_changed template_changed members_changed shards_moved leader_changed node_changed".split(" ");
  function start() {
    if (paused || document.hidden || body.dataset.live === undefined || !window.EventSource) return;
    close();
    const own = source = new EventSource(stream ? stream.dataset.query : "/api/v1/events");
    quiet = setTimeout(reopen, 8000);
    const data = event => { try { return JSON.parse(event.data); } catch { return {}; } };
    const alive = () => { if (own === source) { heard(); say("on", "Live"); } };
    own.addEventListener("open", alive);
    own.addEventListener("hello", event => {
      alive();
      const hello = data(event);
      if (hello.version && version && hello.version !== version) notice("newer", "", "This node runs version " + hello.version + " now.", [["Load the page again", location.href]]);
      // Where cookies need https, the addresses of the nodes let nobody sign in.
      addresses = body.dataset.public ? [["it anew", body.dataset.public]] :
        (hello.members || []).filter(one => String(one.nodeId) !== body.dataset.node && /^https?:/.test(one.address)).map(one => ["on node " + one.nodeId, one.address]);
      // What happened between the making of the page and this is in no event that comes.
      refreshAll();
    });
    own.addEventListener("beat", event => {
      alive();
      const at = Date.parse(data(event).at);
      if (at) skew = at - Date.now();
      mark("beat");
    });
    own.addEventListener("reset", () => { alive(); refreshAll(); });
    own.addEventListener("bye", () => { if (own === source) reopen(); });
    for (const type of types) own.addEventListener(type, () => { alive(); mark(type); });
    if (stream) for (const type of [...types, "hello", "beat", "reset", "bye"]) own.addEventListener(type, show);
    own.onerror = () => { if (own === source) reopen(); };
  }
  // The page of the stream shows it as it is.
  const stream = $("#stream");
  const show = event => {
    if (event.lastEventId) $("#position").textContent = "Position " + event.lastEventId;
    if (event.type === "beat") return;
    const row = document.createElement("li"), time = document.createElement("time"), type = document.createElement("b"), text = document.createElement("code");
    time.textContent = new Date(now()).toLocaleTimeString(); type.textContent = event.type; text.textContent = event.data || "";
    row.append(time, type, text); row.className = "changed";
    stream.prepend(row);
    if (stream.children.length > 200) stream.lastChild.remove();
  };
  function toggle() {
    paused = !paused;
    if (paused) { close(); say("paused", "Paused"); } else { refreshAll(); start(); }
  }
  if (state) state.addEventListener("click", toggle);
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiddenTimer);
    // A hidden tab holds no connection: browsers have six for all tabs.
    if (document.hidden) hiddenTimer = setTimeout(close, 10000);
    else { tell(); if (!source) { refreshAll(); start(); } }
  });
  addEventListener("pagehide", close);
  start();
})();
