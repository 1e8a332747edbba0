// The page: builds itself from the control table, then follows the bridge's events.

import { buildActions } from "./actions.js";
import { connect, latestWins, request, show } from "./wire.js";
import { buildWidget, element } from "./widgets.js";

const KEYS = { " ": "freeze", b: "bypass", p: "panic" };
const NEAR_PROMPT = ["prompt", "fade"]; // every other control finds its own place
const NOTICES = {
  offline: "The engine is off",
  starting: "The engine starts",
  loading: "The model loads",
  warming: "The model warms up",
  degraded: "Engine lost: holding the last picture",
  failover: "Engine lost: showing the input",
  error: "The engine cannot start",
};
const find = (selector) => document.querySelector(selector);
const widgets = new Map();
const awaited = new Map(); // control -> the revision of its newest change, until a picture shows it
const mine = new Map(); // control -> the revision of this page's newest change; Infinity while that is on its way
const instant = new Set(); // controls the bridge obeys itself, at once
let status = null;
let heard = 0; // the revision of the newest change this page was told of
let known = true; // false once the bridge was gone: what is there now may be another run, of another model
let followActions = () => {};

async function send(name, value) {
  mine.set(name, Infinity);
  try {
    const { revision } = await request("PUT", `/api/controls/${name}`, { value });
    expect([name], revision);
    return revision;
  } catch (error) {
    toast(error.message);
    return 0; // refused: what the bridge has goes on
  }
}

function settle(name, revision) {
  mine.set(name, revision);
  if (status && heard >= revision) widgets.get(name)?.write(status.params[name]);
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

async function build() {
  const table = await request("GET", "/api/controls");
  for (const id of ["#words", "#performance", "#knobs", "#actions"]) find(id).replaceChildren();
  widgets.clear();
  for (const row of table.controls) {
    const widget = buildWidget(row, (value) => put(row.name, value), row.name === "prompt" ? table.looks : []);
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
    frame: status.applied.frame,
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
  if (kind === "error") return toast(data.reason);
  if (!status) return;
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

async function follow(news) {
  const preset = status?.engine.preset;
  const first = status === null;
  status = news;
  if (!known || (!first && preset !== news.engine.preset)) { // another model knows other looks
    known = true;
    await build();
  }
  if (first) {
    mine.clear(); // another bridge counts from the start
    heard = news.revision;
    for (const [name, widget] of widgets) widget.write(news.params[name]);
  }
  applied(news.applied);
  followActions(news);
  paint();
}

function fillScreen() {
  const out = find("#out");
  document.fullscreenElement ? document.exitFullscreen() : out.requestFullscreen?.();
}

addEventListener("keydown", (key) => {
  if (key.ctrlKey || key.metaKey || key.altKey || key.repeat || key.target.matches("input, textarea, select")) return;
  if (key.key === "f") fillScreen();
  const name = KEYS[key.key];
  if (!name || !widgets.has(name)) return;
  key.preventDefault();
  put(name, !status.params[name]);
});

find("#out button").onclick = fillScreen;
find("#out canvas").ondblclick = fillScreen;
await build();
show("/ws/in", find("#in canvas"));
show("/ws/out", find("#out canvas"));
connect("/ws", {
  message: hear,
  open: () => { status = null; },
  lost: () => {
    known = false;
    awaited.clear();
    document.body.dataset.state = "lost";
    find("#state span").textContent = "bridge gone";
  },
});
