// The page: builds itself from the control table, then follows the bridge's events.

import { buildActions } from "./actions.js";
import { connect, latestWins, request, show } from "./wire.js";
import { buildWidget, element } from "./widgets.js";

const KEYS = { " ": "freeze", b: "bypass", p: "panic" };
const REFUSED = -1; // in place of a revision
const TYPING = "input:not([type=range]), textarea, select";
const EAGER = ["prompt"]; // a text that is sent in a pause; half the name of a file would only be a mistake
const NEAR_PROMPT = ["prompt", "fade"]; // every other control finds its own place
const NOTICES = {
  offline: "The engine is off",
  starting: "The engine starts",
  loading: "The model loads",
  warming: "The model warms up",
  degraded: "Engine lost: holding the last picture",
  failover: "Engine lost: showing the input",
  error: "The engine cannot start",
  lost: "The bridge is gone; this page waits for it",
};
const find = (selector) => document.querySelector(selector);
const widgets = new Map();
const awaited = new Map(); // control -> the revision of its newest change, until a picture shows it
const mine = new Map(); // control -> the revision of this page's newest change; Infinity while that is on its way
const instant = new Set(); // controls the bridge obeys itself, at once
let status = null;
let heard = 0; // the revision of the newest change this page was told of
let runs = 0; // bridges met so far: each counts its revisions from the start
let built = ""; // the table that the widgets were made of
let offered = null; // the preset whose looks are on the page
let followActions = () => {};

async function send(name, value) {
  const run = runs;
  mine.set(name, Infinity);
  try {
    const { revision } = await request("PUT", `/api/controls/${name}`, { value });
    if (run !== runs) return heard;
    expect([name], revision);
    return revision;
  } catch (error) {
    toast(error.message);
    return REFUSED; // what the bridge has goes on
  }
}

function settle(name, revision) {
  mine.set(name, revision);
  if (status && heard >= revision) widgets.get(name)?.write(status.params[name], revision !== REFUSED);
}

function renew() {
  for (const [name, widget] of widgets) if (mine.get(name) !== Infinity) widget.write(status.params[name]);
}

const put = latestWins(send, settle);

const act = async (name, ...given) => {
  try {
    await request("POST", `/api/actions/${name}`, { arguments: given });
    return true;
  } catch (error) {
    toast(error.message);
    return false;
  }
};

function toast(sentence) {
  const box = find("#toasts");
  if (box.lastChild?.textContent === sentence) return;
  const note = element("p", { textContent: sentence, onclick: () => note.remove() });
  box.append(note);
  while (box.children.length > 3) box.firstChild.remove();
  setTimeout(() => note.remove(), 9000);
}

function place(row) {
  if (NEAR_PROMPT.includes(row.name)) return "#words";
  return row.home === "bridge" ? "#performance" : "#knobs";
}

// Another model knows other looks, another run perhaps other controls. What is the same stays, and with it what is
// half typed.
async function build(preset) {
  offered = preset;
  const table = await request("GET", "/api/controls").catch(() => null);
  if (offered !== preset || !status) return; // too late
  if (!table) { offered = null; return; } // the next news asks again
  const rows = table.controls.map((row) => ({ ...row, value: undefined }));
  const plan = JSON.stringify({ ...table, controls: rows, looks: undefined });
  if (plan !== built) lay(table);
  built = plan;
  widgets.get("prompt")?.offer(table.looks);
  renew();
  followActions(status);
}

function lay(table) {
  for (const id of ["#words", "#performance", "#knobs", "#actions"]) find(id).replaceChildren();
  widgets.clear();
  instant.clear();
  for (const row of table.controls) {
    const widget = buildWidget(row, (value) => put(row.name, value), EAGER.includes(row.name));
    widgets.set(row.name, widget);
    if (row.home === "bridge") instant.add(row.name);
    const key = Object.keys(KEYS).find((key) => KEYS[key] === row.name);
    if (key) widget.root.querySelector(".caption").append(element("kbd", { textContent: key === " " ? "space" : key }));
    find(place(row)).append(widget.root);
  }
  followActions = buildActions(find("#actions"), table, act);
}

function expect(names, revision) {
  for (const name of names) {
    if (instant.has(name) || (status?.applied.revision ?? 0) >= revision) continue;
    awaited.set(name, revision);
    mark(name, "waiting", "");
  }
}

function mark(name, tick, title) {
  const mark = widgets.get(name)?.root.querySelector(".tick");
  if (mark) Object.assign(mark, { className: `tick ${tick}`, title });
}

function applied({ revision, frame }) {
  for (const [name, wanted] of awaited) {
    if (wanted > revision) continue;
    awaited.delete(name);
    mark(name, "applied", `shown from frame ${frame}`);
  }
}

function paint() {
  document.body.dataset.state = status.state;
  find("#state span").textContent = status.state;
  const rate = (value) => (value ?? 0).toFixed(1);
  const milliseconds = (value) => (value ? Math.round(value) : "–");
  const stats = {
    in: `${rate(status.fps_in)} fps`,
    out: `${rate(status.fps_out)} fps`,
    latency: `${milliseconds(status.latency_ms.p50)} ms`,
    p99: `${milliseconds(status.latency_ms.p99)} ms`,
    dropped: status.dropped,
  };
  find("#stats").replaceChildren(...Object.entries(stats).map(
    ([name, value]) => element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: value }))));
  find("#in figcaption span").textContent = status.input;
  find("#out figcaption span").textContent = [status.engine.preset, status.engine.device].filter(Boolean).join(" on ");
  notice();
}

function notice() {
  const { panic, bypass, freeze, privacy } = status.params;
  const held = panic ? "Panic: the slate is on" : bypass ? "Bypass: the input is on" : freeze ? "Frozen" : "";
  const away = privacy && status.state === "failover" ? "Engine lost: the slate is on" : NOTICES[status.state];
  const sentence = held || away || "";
  Object.assign(find("#out .notice"), { textContent: sentence, hidden: !sentence });
}

function hear(text) {
  const { kind, data, revision } = JSON.parse(text);
  if (kind === "status") return follow(data);
  if (kind === "error") toast(data.reason);
  if (!status) return;
  if (kind === "error") followActions(status, data.where);
  if (kind === "changed") {
    Object.assign(status.params, data);
    heard = revision;
    for (const [name, value] of Object.entries(data)) { // news from before this page's own change must not undo it
      if (revision >= (mine.get(name) ?? 0)) widgets.get(name)?.write(value);
    }
    expect(Object.keys(data), revision);
  }
  if (kind === "applied") { status.applied = data; applied(data); }
  if (kind === "state") status.state = data.state;
  paint();
}

// A run that was started anew may have another token: say so, where waiting would be in vain.
async function explain() {
  const answer = await fetch("/api/status").catch(() => null);
  if (answer?.status !== 401 || document.body.dataset.state !== "lost") return;
  const { error, hint } = await answer.json();
  find("#out .notice").textContent = `${error}; ${hint}`;
}

function meet(revision) {
  runs += 1;
  heard = revision;
  for (const [name, last] of mine) if (last !== Infinity) mine.delete(name);
  renew();
}

function follow(news) {
  const first = status === null;
  status = news;
  if (first) meet(news.revision);
  if (offered !== news.engine.preset) build(news.engine.preset);
  applied(news.applied);
  followActions(news);
  paint();
}

function fillScreen() {
  const out = find("#out");
  document.fullscreenElement ? document.exitFullscreen() : out.requestFullscreen?.();
}

// A button that was clicked gives its focus back, so that the next key means what the page says; one that was reached
// by Tab keeps it, and the space bar is its own.
addEventListener("click", (click) => { if (click.detail) click.target.closest("button")?.blur(); });

addEventListener("keydown", (key) => {
  if (key.ctrlKey || key.metaKey || key.altKey || key.target.matches(TYPING)) return;
  if (key.key === " " && key.target.matches("button")) return;
  const typed = /^Key.$/.test(key.code) && key.key > "\x7f" ? key.code[3] : key.key; // Cyrillic and Greek have keys too
  const pressed = typed.toLowerCase();
  const widget = widgets.get(KEYS[pressed]);
  if (pressed === "f" && !key.repeat) fillScreen();
  if (!widget) return;
  key.preventDefault();
  if (!key.repeat) widget.root.click();
});

find("#out button").onclick = fillScreen;
find("#out canvas").ondblclick = fillScreen;
const pictures = ["in", "out"].map((end) => show(`/ws/${end}`, find(`#${end} canvas`)));
connect("/ws", {
  beats: true,
  message: hear,
  open: () => { status = offered = null; },
  lost: () => {
    for (const name of awaited.keys()) mark(name, "", "");
    awaited.clear();
    document.body.dataset.state = "lost";
    find("#state span").textContent = "bridge gone";
    Object.assign(find("#out .notice"), { textContent: NOTICES.lost, hidden: false });
    for (const callAgain of pictures) callAgain(); // they may have been cut as silently
    explain();
  },
});
