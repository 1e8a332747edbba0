// One widget per row of the control table, chosen by its kind and range. None of them knows what it controls.

const PAUSE = 700; // ms without a keystroke after which a text is meant
const FEW = 8; // a whole number with this many values, or fewer, is a row of buttons

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  const { dataset = {}, ...rest } = properties;
  Object.assign(made, rest);
  Object.assign(made.dataset, dataset);
  made.append(...children);
  return made;
}

// Returns { root, write(value, taken) }; `change(value)` is called when a person moves it, and every change is followed
// by a `write` of what is true then, `taken` or not. A text is `eager` if a pause while typing sends it.
export function buildWidget(row, change, eager) {
  const build = row.kind === "str" ? text : row.kind === "bool" ? toggle : number(row);
  const widget = build(row, change, eager);
  widget.root.dataset.name = row.name;
  widget.root.classList.add("widget");
  widget.root.title = row.help;
  widget.write(row.value);
  return widget;
}

function number(row) {
  const bounded = row.low !== null && row.high !== null;
  if (row.kind === "int" && bounded && row.high - row.low < FEW) return choice;
  return bounded && !(row.kind === "int" && row.high - row.low > 10000) ? slider : field;
}

function caption(row, ...extra) {
  return element("span", { className: "caption" }, element("b", {}, row.name), element("i", { className: "tick" }), ...extra);
}

function slider(row, change) {
  const digits = row.kind === "int" ? 0 : row.high - row.low > 5 ? 1 : 2;
  const value = element("output");
  const step = row.kind === "int" ? 1 : 10 ** -(digits + 1);
  const input = element("input", { type: "range", min: row.low, max: row.high, step, ariaLabel: row.help });
  const root = element("label", { className: "slider" }, caption(row, value), input);
  const paint = () => {
    value.textContent = Number(input.value).toFixed(digits) + (row.unit ? ` ${row.unit}` : "");
    input.style.setProperty("--fill", `${(100 * (input.value - row.low)) / (row.high - row.low)}%`);
  };
  let held = false; // nobody pulls the knob out of the hand; what came meanwhile is shown when it lets go
  let now = row.value;
  const write = (value) => { now = value; if (!held) { input.value = now; paint(); } };
  const letGo = () => { if (held) { held = false; write(now); } };
  const move = (value) => { now = value; paint(); change(now); };
  input.addEventListener("pointerdown", (press) => { held = press.button === 0; });
  for (const end of ["pointerup", "pointercancel", "blur"]) addEventListener(end, letGo);
  input.addEventListener("input", () => move(Number(input.value)));
  input.addEventListener("dblclick", () => { input.value = row.default; move(row.default); });
  return { root, write };
}

function choice(row, change) {
  const buttons = Array.from({ length: row.high - row.low + 1 }, (_, index) => {
    const value = row.low + index;
    return element("button", { type: "button", textContent: value, onclick: () => { write(value); change(value); } });
  });
  const write = (now) => buttons.forEach((one, index) => one.setAttribute("aria-pressed", row.low + index === now));
  const group = element("span", { className: "buttons", role: "group", ariaLabel: row.help }, ...buttons);
  return { root: element("div", { className: "choice" }, caption(row), group), write };
}

function field(row, change) {
  const input = element("input", { type: "number", min: row.low, max: row.high, step: 1, ariaLabel: row.help });
  const dice = element("button", { type: "button", textContent: "⚄", title: "Any other" });
  let typing = false; // what came meanwhile is shown when that ends
  let now = row.value;
  const write = (value) => { now = value; if (!typing) input.value = now; };
  const stop = () => { typing = false; write(now); };
  const move = (value) => { now = value; stop(); change(now); };
  dice.onclick = () => move(Math.floor(Math.random() * 1e6));
  input.addEventListener("input", () => { typing = true; });
  input.addEventListener("change", () => (input.value === "" ? stop() : move(Number(input.value))));
  input.addEventListener("blur", stop); // half a number is none
  input.addEventListener("keydown", (key) => { if (key.key === "Escape") { stop(); input.blur(); } });
  return { root: element("label", { className: "field" }, caption(row), element("span", {}, input, dice)), write };
}

function toggle(row, change) {
  const root = element("button", { type: "button", className: "toggle" }, caption(row));
  let on = false;
  const write = (now) => { on = now; root.setAttribute("aria-pressed", on); };
  root.onclick = () => { write(!on); change(on); };
  return { root, write };
}

function text(row, change, eager) {
  const placeholder = row.default ? "" : "none";
  const input = element("textarea", { rows: 1, spellcheck: false, maxLength: 2000, dir: "auto", placeholder, ariaLabel: row.help });
  const chips = element("div", { className: "chips" });
  let timer = 0;
  let sent = ""; // or heard, whichever was last: a text that differs is being typed
  const mark = () => {
    for (const chip of chips.children) chip.setAttribute("aria-pressed", chip.textContent === input.value.trim());
  };
  const show = (value) => { if (input.value !== value) input.value = value; mark(); };
  const send = () => {
    clearTimeout(timer);
    if (input.value !== sent) change((sent = input.value));
    mark();
  };
  const wait = (typed) => {
    clearTimeout(timer);
    if (eager && !typed.isComposing) timer = setTimeout(send, PAUSE); // half a Japanese word is none
  };
  const write = (now, taken = true) => {
    const typing = document.activeElement === input && input.value !== sent;
    sent = now;
    input.setAttribute("aria-invalid", !taken);
    if (taken && !typing) show(now); // what was refused stays, to be mended
  };
  input.addEventListener("input", wait);
  input.addEventListener("compositionend", wait);
  input.addEventListener("blur", (left) => { if (!chips.contains(left.relatedTarget)) send(); });
  input.addEventListener("keydown", (key) => {
    if (key.isComposing) return;
    if (key.key === "Enter" && !key.shiftKey) { key.preventDefault(); send(); }
    if (key.key === "Escape") { clearTimeout(timer); write(sent); show(sent); input.blur(); }
  });
  const look = (name) => element("button", { type: "button", textContent: name, onclick: () => { show(name); send(); } });
  const offer = (looks) => { chips.replaceChildren(...looks.map(look)); mark(); };
  const root = element("div", { className: "text" }, element("label", {}, caption(row), input), chips);
  return { root, write, offer };
}
