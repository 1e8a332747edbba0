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

// Returns { root, write(value) }; `change(value)` is called when a person moves it.
export function buildWidget(row, change, looks) {
  const build = row.kind === "str" ? text : row.kind === "bool" ? toggle : number(row);
  const widget = build(row, change, looks);
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
  let held = false; // an echo from the past must not pull the knob out of the hand
  input.addEventListener("pointerdown", () => { held = true; });
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { held = false; });
  input.addEventListener("input", () => { paint(); change(Number(input.value)); });
  input.addEventListener("dblclick", () => { input.value = row.default; paint(); change(row.default); });
  return { root, write(now) { if (!held) { input.value = now; paint(); } } };
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
  dice.onclick = () => { input.value = Math.floor(Math.random() * 1e6); change(Number(input.value)); };
  input.addEventListener("change", () => input.value !== "" && change(Number(input.value)));
  const write = (now) => { if (document.activeElement !== input) input.value = now; };
  return { root: element("label", { className: "field" }, caption(row), element("span", {}, input, dice)), write };
}

function toggle(row, change) {
  const root = element("button", { type: "button", className: "toggle" }, caption(row));
  let on = false;
  const write = (now) => { on = now; root.setAttribute("aria-pressed", on); };
  root.onclick = () => { write(!on); change(on); };
  return { root, write };
}

function text(row, change, looks) {
  const input = element("textarea", { rows: 1, spellcheck: false, maxLength: 2000, ariaLabel: row.help });
  const chips = looks.map((look) => element("button", { type: "button", textContent: look }));
  let timer = 0;
  let sent = null;
  const send = () => {
    clearTimeout(timer);
    if (input.value !== sent) change((sent = input.value));
    mark();
  };
  const mark = () => chips.forEach((chip) => chip.setAttribute("aria-pressed", chip.textContent === input.value.trim()));
  const write = (now) => {
    if (document.activeElement === input && input.value !== sent) return; // somebody is typing
    input.value = sent = now;
    mark();
  };
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(send, PAUSE); });
  input.addEventListener("blur", send);
  input.addEventListener("keydown", (key) => {
    if (key.key === "Enter" && !key.shiftKey) { key.preventDefault(); send(); }
    if (key.key === "Escape") { input.blur(); }
  });
  for (const chip of chips) chip.onclick = () => { input.value = chip.textContent; send(); };
  const label = element("label", {}, caption(row), input);
  return { root: element("div", { className: "text" }, label, element("div", { className: "chips" }, ...chips)), write };
}
