// Everything that crosses the network: requests, the newest value of each control, events, pictures.

const ANSWER_TIMEOUT = 10000; // ms
const QUIET = 10000; // ms without a word after which whoever promised to speak is taken to be gone
const SLEPT = 4000; // ms; the same when somebody looks at the page again

export async function request(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(ANSWER_TIMEOUT), // a phone that slept may wait for what never comes
  }).catch(() => { throw new Error("the bridge does not answer; is `latentcast run` still running?"); });
  const data = await answer.json().catch(() => ({ error: answer.statusText }));
  if (!answer.ok) throw new Error([data.error, data.hint].filter(Boolean).join("; "));
  return data;
}

// A fader moves faster than a request returns: one request per control is under way, and only the newest value waits.
// `settle(name, what the last send returned)` is called when none is left.
export function latestWins(send, settle) {
  const waiting = new Map();
  const busy = new Set();
  return async function put(name, value) {
    waiting.set(name, value);
    if (busy.has(name)) return;
    busy.add(name);
    let last;
    while (waiting.has(name)) {
      const newest = waiting.get(name);
      waiting.delete(name);
      last = await send(name, newest);
    }
    busy.delete(name);
    settle(name, last);
  };
}

// A socket that comes back by itself. `hides`: it is closed while nobody looks at the page. `beats`: the other end never
// is silent for long, so one that is has gone without a farewell, as happens to a phone that slept.
// Returns a function that hangs up and calls again.
export function connect(path, { message, open = () => {}, lost = () => {}, hides = false, beats = false }) {
  let socket = null;
  let pause = 250;
  let heard = 0; // when something came last

  function start() {
    if (socket || (hides && document.hidden)) return;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const mine = (socket = new WebSocket(`${scheme}//${location.host}${path}`));
    heard = Date.now();
    mine.binaryType = "arraybuffer";
    mine.onopen = () => { if (socket === mine) { pause = 250; open(); } };
    mine.onmessage = (event) => { if (socket === mine) { heard = Date.now(); message(event.data); } };
    mine.onclose = () => { if (socket === mine) again(); };
  }

  function hangUp() {
    const old = socket;
    socket = null;
    old?.close();
  }

  function again() {
    hangUp();
    lost();
    setTimeout(start, (pause = Math.min(pause * 2, 4000)));
  }

  const check = (quiet) => { if (beats && socket && Date.now() - heard > quiet) again(); };
  setInterval(check, 1000, QUIET);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return hides && hangUp();
    check(SLEPT);
    start();
  });
  start();
  return () => { if (socket) again(); };
}

// Draws the newest JPEG that came; those that came while one was being decoded are dropped. Returns as `connect` does.
export function show(path, canvas) {
  const brush = canvas.getContext("2d", { alpha: false });
  let newest = null;
  let drawing = false;

  async function draw() {
    drawing = true;
    while (newest) {
      const data = newest;
      newest = null;
      const picture = await createImageBitmap(new Blob([data], { type: "image/jpeg" })).catch(() => null);
      if (!picture) continue;
      if (canvas.width !== picture.width || canvas.height !== picture.height) {
        canvas.width = picture.width;
        canvas.height = picture.height;
        canvas.style.aspectRatio = `${picture.width} / ${picture.height}`;
      }
      brush.drawImage(picture, 0, 0);
      picture.close();
    }
    drawing = false;
  }

  return connect(path, { hides: true, message: (data) => { newest = data; if (!drawing) draw(); } });
}
