// Buttons for what is done once, built from the list of actions; an action's form follows from what it takes.

import { element } from "./widgets.js";

const SOURCES = ["camera:0", "clip", "testcard", "ring:"];

// Fills `root`; returns a function that follows the status, and is told the name of what failed.
export function buildActions(root, table, act) {
  const followers = [];
  for (const action of table.actions) {
    const build = { "": button, bool: recording, str: named, "str,bool": outputs }[action.takes.join()];
    if (!build) continue; // a newer bridge may know actions this page has no form for
    const made = build(action, act, table);
    made.root.title = action.help;
    made.root.dataset.action = action.name;
    root.append(made.root);
    if (made.follow) followers.push(made.follow);
  }
  return (status, failed) => followers.forEach((follow) => follow(status, failed));
}

function button(action, act) {
  return { root: element("button", { type: "button", textContent: action.name, onclick: () => act(action.name) }) };
}

function recording(action, act) {
  const root = element("button", { type: "button", textContent: action.name });
  const isOn = () => root.getAttribute("aria-pressed") === "true";
  root.onclick = () => act(action.name, !isOn());
  const follow = (status) => {
    const mine = status.outputs.filter((one) => one.name === action.name);
    const output = mine.find((one) => one.state !== "finishing");
    root.textContent = mine.length && !output ? `${action.name} (finishing)` : action.name;
    root.setAttribute("aria-pressed", Boolean(output));
    root.classList.toggle("broken", Boolean(output?.error));
    root.title = output?.error || action.help;
  };
  return { root, follow };
}

function named(action, act, table) {
  return action.name === "preset" ? chosen(action, act, table.presets) : typed(action, act);
}

function chosen(action, act, names) {
  const select = element("select", {}, ...names.map((name) => element("option", { value: name, textContent: name })));
  let now = "";
  select.onchange = async () => {
    select.blur(); // or the next key that is pressed chooses again
    if (await act(action.name, select.value)) now = select.value;
    else select.value = now;
  };
  const follow = (status) => {
    if (status.engine.preset === now || document.activeElement === select) return;
    select.value = now = status.engine.preset;
  };
  return { root: element("label", {}, action.name, select), follow };
}

function typed(action, act) {
  const list = element("datalist", { id: `${action.name}-known` });
  list.append(...SOURCES.map((value) => element("option", { value })));
  const input = element("input", { type: "text", spellcheck: false });
  input.setAttribute("list", list.id);
  let now = "";
  const send = async () => {
    const wanted = input.value.trim();
    if (!wanted || (wanted !== now && !(await act(action.name, wanted)))) input.value = now;
  };
  input.onchange = send;
  input.onkeydown = (key) => {
    if (key.key === "Escape") input.value = now;
    if (key.key === "Escape" || key.key === "Enter") input.blur();
  };
  const follow = (status, failed) => {
    if ((status.input === now && failed !== action.name) || document.activeElement === input) return;
    input.value = now = status.input;
  };
  return { root: element("label", {}, action.name, input, list), follow };
}

// What was asked for with --out has the name of its kind; the page itself and the ring everybody reads are always on.
const isSwitched = (one) => one.name.startsWith(one.kind) && one.kind !== "web";

function outputs(action, act) {
  const root = element("div", { className: "outputs" });
  const off = new Set();
  let shown = "";
  const switched = (name, output) => {
    const text = output?.state === "finishing" ? `${name} (finishing)` : name;
    const made = element("button", { type: "button", textContent: text, title: output?.error || name });
    made.classList.toggle("broken", Boolean(output?.error));
    made.setAttribute("aria-pressed", Boolean(output));
    made.onclick = async () => {
      if (await act(action.name, name, !output)) output ? off.add(name) : off.delete(name);
    };
    return made;
  };
  const follow = (status) => {
    const on = new Map(status.outputs.filter(isSwitched).map((one) => [one.name, one]));
    const names = [...new Set([...on.keys(), ...off])];
    const news = JSON.stringify([names, [...on.values()]]);
    if (news === shown) return; // a button that is replaced between press and release was not clicked
    shown = news;
    root.hidden = !names.length;
    root.replaceChildren("outputs", ...names.map((name) => switched(name, on.get(name))));
  };
  return { root, follow };
}
