// Everything that crosses the network: requests, the newest value of each control, events, pictures.

export async function request(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
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

// A socket that comes back by itself, and is closed while nobody looks at the page.
export function connect(path, { message, open = () => {}, lost = () => {}, hides = false }) {
  let socket = null;
  let pause = 250;

  function start() {
    if (socket || (hides && document.hidden)) return;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const mine = (socket = new WebSocket(`${scheme}//${location.host}${path}`));
    mine.binaryType = "arraybuffer";
    mine.onopen = () => { pause = 250; open(); };
    mine.onmessage = (event) => message(event.data);
    mine.onclose = () => {
      if (socket !== mine) return;
      socket = null;
      lost();
      setTimeout(start, (pause = Math.min(pause * 2, 4000)));
    };
  }

  if (hides) {
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) return start();
      const old = socket;
      socket = null;
      old?.close();
    });
  }
  start();
}

// Draws the newest JPEG that came; those that came while one was being decoded are dropped.
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

  connect(path, { hides: true, message: (data) => { newest = data; if (!drawing) draw(); } });
}
