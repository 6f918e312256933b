"use strict";
const byId = id => document.getElementById(id);
const root = document.documentElement;

// Dark and light.
const dark = byId("dark");
const turnDark = on => { root.classList.toggle("dark", on); dark.textContent = on ? "Light" : "Dark"; };
dark.addEventListener("click", () => turnDark(!root.classList.contains("dark")));
turnDark(matchMedia("(prefers-color-scheme: dark)").matches);

// Filter: every word must stand in the row, and the effect must be the chosen one.
const filter = byId("filter"), effect = byId("effect"), found = byId("found");
function sift() {
  const words = filter.value.toLowerCase().split(/\s+/);
  let shown = 0;
  const rows = document.querySelectorAll("tbody.issues tr, tbody.behaviours tr, details.failure, details.issue");
  for (const row of rows) {
    const text = (row.textContent + " " + row.id).toLowerCase();
    row.hidden = !words.every(word => text.includes(word)) ||
      (effect.value !== "" && row.dataset.effect !== undefined && row.dataset.effect !== effect.value);
    shown += !row.hidden && row.matches("tbody.issues tr, details.failure");
  }
  found.textContent = filter.value || effect.value ? `${shown} shown` : "";
}
filter.addEventListener("input", sift);
effect.addEventListener("input", sift);

// Sort by a column: the same button again turns the order round.
for (const button of document.querySelectorAll("thead button"))
  button.addEventListener("click", () => {
    const head = button.closest("th"), table = head.closest("table");
    const column = [...head.parentNode.children].indexOf(head), body = table.tBodies[0];
    const way = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", way);
    const key = row => row.children[column].dataset.key ?? row.children[column].textContent.trim();
    const rows = [...body.rows].sort((a, b) => key(a).localeCompare(key(b), "en", { numeric: true }));
    body.append(...(way === "ascending" ? rows : rows.reverse()));
  });

// The rest of the data: gzip in base64, which the browser unpacks.
const rest = (async () => {
  const bytes = Uint8Array.from(atob(byId("data").textContent), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
})();

function make(name, content, attributes = {}) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...[content ?? []].flat());
  return node;
}
function draw(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
const hex = number => number.toString(16);
const size = bytes => bytes < 1024 ? `${bytes} bytes` : bytes < 2 ** 20 ? `${Math.round(bytes / 1024)} KiB`
  : bytes < 2 ** 30 ? `${Math.round(bytes / 2 ** 20)} MiB` : bytes < 2 ** 40 ? `${Math.round(bytes / 2 ** 30)} GiB`
  : `${Math.round(bytes / 2 ** 40)} TiB`;

// The frames that are on the stacks after a step, by thread and node.
function framesAt(steps, last) {
  const open = new Map();
  const close = (thread, gone, itself) => {
    for (const [key, frame] of [...open]) {
      let node = frame, below = false;
      while (node && !below) { below = node.parent === gone; node = open.get(`${thread} ${node.parent}`); }
      below ||= frame.calls && frame.parent === gone;
      if (frame.thread === thread && (below || (itself && frame.node === gone))) open.delete(key);
    }
  };
  for (const step of steps.slice(0, last + 1)) {
    if (step.phase === "after" || step.phase === "ended") close(step.thread, step.node, true);
    else if (step.phase === "recovered") close(step.thread, step.node, false);
    // Who calls stays where it is until the call has come back.
    if (step.phase === "before")
      open.set(`${step.thread} ${step.node} ${step.where}`, { ...step, label: `calls ${step.label}`, calls: true });
    if (["entered", "leaving", "did", "recovered"].includes(step.phase) && !open.has(`${step.thread} ${step.node}`))
      open.set(`${step.thread} ${step.node}`, step);
  }
  return [...open.values()];
}

// The address space as a column: a line for each address that matters, the highest on top, gaps not to scale.
function column(picture, at) {
  const { steps, stacks } = picture, step = steps[at];
  const all = new Set(steps.flatMap(one => [one.sp, ...(one.seen ?? []), ...(one.expected ?? [])]));
  const addresses = [...all].filter(one => one !== undefined && one !== 0).sort((a, b) => b - a);
  const high = addresses.length > 30 ? 16 : 22, top = 46;
  const narrow = innerWidth < 600, left = narrow ? 128 : 190, wide = narrow ? 190 : 340;
  const seenAt = left + wide + (narrow ? 24 : 40), expectedAt = seenAt + (narrow ? 40 : 90);
  const width = expectedAt + (narrow ? 40 : 110);
  const y = address => top + addresses.indexOf(address) * high;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${top + addresses.length * high + 8}`, role: "img" });
  svg.append(draw("title", {}, `Stacks at step ${at + 1}: ${step.label}, ${step.where}`));
  svg.append(draw("text", { x: 4, y: 14, class: "soft" }, narrow ? "address" : "address (higher ones above)"));
  svg.append(draw("text", { x: seenAt - 16, y: 14 }, "g0's bounds"));
  svg.append(draw("text", { x: seenAt - 16, y: 32, class: "soft" }, "seen"));
  svg.append(draw("text", { x: expectedAt - 14, y: 32, class: "soft" }, narrow ? "must" : "expected"));
  stacks.forEach((name, number) => {
    const own = steps.filter(one => one.stack === number && one.sp).map(one => one.sp);
    if (!own.length) return;
    const from = y(Math.max(...own)) - high * .75, to = y(Math.min(...own)) + high * .35;
    svg.append(draw("rect", { x: left, y: from, width: wide, height: to - from, rx: 4, class: "stack" }));
    svg.append(draw("text", { x: left + wide - 6, y: from + 13, class: "soft", "text-anchor": "end" },
      narrow ? name.replace("'s stack", "") : name));
  });
  addresses.forEach((address, number) => {
    const here = address === step.sp;
    svg.append(draw("text", { x: 4, y: y(address) + 4, class: here ? "here" : "soft" }, hex(address)));
    const gap = number && addresses[number - 1] - address;
    if (gap >= 65536 && !narrow) svg.append(draw("text", { x: 116, y: y(address) - high / 2 + 4, class: "soft" }, `↕ ${size(gap)}`));
  });
  for (const frame of framesAt(steps, at)) {
    if (!frame.sp) continue;
    const own = frame.thread === step.thread && !frame.calls;
    const kind = `frame ${own ? "" : "other"} ${own && frame.node === step.node ? "current" : ""}`;
    const most = narrow ? 13 : 28;
    const text = frame.label.length > most ? frame.label.slice(0, most - 1) + "…" : frame.label;
    svg.append(draw("rect", { x: left + 6, y: y(frame.sp) - high / 2 + 2, width: 14 + text.length * 7.4, height: high - 4,
      rx: 3, class: kind }));
    svg.append(draw("text", { x: left + 12, y: y(frame.sp) + 4 }, text));
  }
  if (step.sp) {
    const line = y(step.sp);
    svg.append(draw("path", { d: `M ${left - 16} ${line - 6} l 14 6 l -14 6 z`, class: "sp" }));
    svg.append(draw("text", { x: left - 34, y: line + 4, class: "here" }, "SP"));
    if (step.phase === "end" && step.seen && !narrow)
      svg.append(draw("text", { x: expectedAt - 14, y: line + 4, class: "good" }, "must contain SP"));
  }
  const bar = (bounds, x, kind) => {
    const [low, top] = bounds;
    if (!low && !top) return svg.append(draw("text", { x: x - 8, y: 46, class: "soft" }, "none"));
    svg.append(draw("line", { x1: x, x2: x, y1: y(top), y2: y(low), class: kind }));
    for (const end of [low, top]) svg.append(draw("line", { x1: x - 7, x2: x + 7, y1: y(end), y2: y(end), class: kind }));
  };
  if (step.seen) {
    bar(step.seen, seenAt, step.expected || step.phase === "end" ? "seen wrong" : "seen");
    if (step.expected) bar(step.expected, expectedAt, "expected");
    else if (step.phase !== "end") bar(step.seen, expectedAt, "expected");
  }
  return svg;
}

function say(step) {
  const parts = [make("strong", `${step.label}, ${step.where}`), `, thread ${step.thread + 1}.`];
  if (step.sp) parts.push(" SP is ", make("code", hex(step.sp)), ".");
  if (step.seen && step.phase !== "end") {
    parts.push(step.seen[1] ? ` g0's bounds are ${hex(step.seen[0])} to ${hex(step.seen[1])}` : " g0 has no bounds");
    if (step.accurate !== undefined) parts.push(step.accurate ? ", as the C library gave them" : ", an estimate");
    parts.push(`. pthread_getattr_np was asked ${step.asked === 1 ? "once" : `${step.asked} times`} on this thread.`);
  }
  const node = make("div", parts);
  if (step.wrong) node.append(make("ul", step.wrong.map(one => make("li", one))));
  return node;
}

function show(picture, issue) {
  const { steps } = picture;
  const figure = make("figure", null, { class: "picture", tabindex: 0 });
  if (!steps.length) return figure;
  const where = make("span"), said = make("div", null, { class: "said", "aria-live": "polite" });
  const canvas = make("div");
  const list = make("ol", steps.map((step, number) => {
    const button = make("button", `${number + 1}. ${step.label}: ${step.where}`, { type: "button" });
    if (step.wrong) button.className = "wrong";
    button.addEventListener("click", () => go(number));
    return make("li", button);
  }), { class: "steps" });
  let at = 0;
  function go(number) {
    at = Math.min(Math.max(number, 0), steps.length - 1);
    figure.dataset.step = at + 1;
    where.textContent = `step ${at + 1} of ${steps.length}`;
    said.replaceChildren(say(steps[at]));
    canvas.replaceChildren(column(picture, at));
    [...list.children].forEach((item, index) => {
      const button = item.firstChild;
      if (index !== at) return button.removeAttribute("aria-current");
      button.setAttribute("aria-current", "step");
      list.scrollTop = item.offsetTop - list.offsetTop - list.clientHeight / 2;
    });
  }
  const turn = (text, title, by) => {
    const button = make("button", text, { type: "button", "aria-label": title });
    button.addEventListener("click", () => go(at + by));
    return button;
  };
  figure.addEventListener("keydown", event => {
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0,
      End: steps.length - 1 }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    go(to);
  });
  const keys = make("span", ["the arrow keys turn, Home and End too"], { class: "soft" });
  const left = picture.before ? make("span", `${picture.before} events came before. `, { class: "soft" }) : [];
  figure.append(make("div", [turn("◀", "one step back", -1), where, turn("▶", "one step on", 1), left, keys].flat(),
    { class: "turn" }), said, make("div", [list, canvas], { class: "view" }));
  go(picture.steps[picture.first].phase === "end" ? picture.first : picture.at[issue] ?? picture.first);
  return figure;
}

function told(picture, issue) {
  const parts = [make("p", [make("strong", picture.headline)]), make("p", ["The case: ", make("code", picture.case)]),
    show(picture, issue)];
  if (picture.words)
    parts.push(make("details", [make("summary", `What the process wrote (${picture.ended})`), make("pre", picture.words)]));
  return parts;
}

// What opens fetches its picture.
async function fill(details) {
  const place = details.querySelector(".later");
  if (!place || place.dataset.full) return;
  place.dataset.full = "yes";
  const data = await rest;
  if (details.matches(".failure")) {
    const failure = data.failures[details.dataset.number];
    place.append(...(failure.picture ? told(failure.picture) : []), make("pre", failure.text));
  } else {
    for (const [release, picture] of data.issues[details.id] ?? [])
      place.append(make("h3", `How it showed in ${release}`), ...told(picture, details.id));
  }
}
for (const details of document.querySelectorAll("details.failure, details.issue"))
  details.addEventListener("toggle", () => details.open && fill(details));

// A cell: #golib-1@1.27.4, or #behaviour-panic@1.27.4.
const panel = byId("panel"), inside = byId("inside");
async function cell(row, release) {
  const data = await rest, column = data.releases.indexOf(release);
  const behaviour = row.startsWith("behaviour-") ? row.slice(10) : null;
  const tests = data.tests.map(([name, of, codes]) => [name, of, data.codes[codes.codePointAt(column) - 48] ?? ""])
    .filter(([, of, code]) => behaviour === null ? code.split(", ").includes(row)
      : of === behaviour && code && code !== "passed");
  const parts = [make("h3", `${behaviour ?? row} in ${release}`)];
  const issue = behaviour === null ? byId(row) : null;
  if (issue) parts.push(make("p", `${issue.dataset.effect}: ${issue.querySelector(".title").textContent}`));
  const count = tests.length === 1 ? "1 test" : `${tests.length} tests`;
  parts.push(make("p", tests.length ? `${count} ${behaviour === null ? "showed it" : "did not pass"}:`
    : "No test showed it."));
  if (tests.length)
    parts.push(make("ul", tests.map(([name, , code]) => make("li", behaviour === null ? name : `${name}: ${code}`)),
      { class: "tests" }));
  const pictures = data.issues[row] ?? [];
  const here = pictures.find(([of]) => of === release) ?? (tests.length ? pictures[0] : undefined);
  if (here) parts.push(make("h3", `How it showed in ${here[0]}`), ...told(here[1], row));
  if (issue) parts.push(make("p", make("a", `More about ${row}`, { href: `#${row}` })));
  inside.replaceChildren(...parts);
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
  (inside.querySelector("figure") ?? byId("close")).focus({ preventScroll: true });  // the arrow keys are for it
}
async function follow() {
  const name = decodeURIComponent(location.hash.slice(1));
  const [, row, release] = name.match(/^([^@]+)@(.+)$/) ?? [];
  if (release) return cell(row, release);
  if (panel.open) panel.close();
  const details = byId(name);
  if (details && details.matches("tbody.verdicts tr") && details.closest("details")) {
    details.closest("details").open = true;
    details.scrollIntoView();
  }
  if (details && details.matches("details")) {
    details.open = true;
    await fill(details);
    details.scrollIntoView();
  }
}
addEventListener("hashchange", follow);
byId("close").addEventListener("click", () => panel.close());
panel.addEventListener("close", () => {
  if (location.hash.includes("@")) history.replaceState(null, "", " ");
});
follow();

// Keys.
addEventListener("keydown", event => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.target.matches("input, select")) {
    if (event.key === "Escape") { filter.value = ""; effect.value = ""; sift(); event.target.blur(); }
    return;
  }
  if (event.key === "/") { event.preventDefault(); filter.focus(); }
  if (event.key === "d") turnDark(!root.classList.contains("dark"));
});
addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details.issue")) one.open = true; });
