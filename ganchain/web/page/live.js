// The live page: frames of the camera go over a WebSocket, one at a time, and come back edited.

const $ = (id) => document.getElementById(id);
const QUALITY = 0.85; // of the JPEGs that are sent
const KEPT = 12; // photos that stay on the page
const SMOOTH = 0.15; // share of a new figure in those that are shown
const STEPS = { send: "to the server and back", wait: "waiting there", read: "reading", track: "finding the face", edit: "the chain", write: "writing" };

const settings = await (await fetch("/live/settings")).json();
const grab = document.createElement("canvas");
const own = settings.camera !== ""; // the camera is the server's
let socket = null;
let stream = null;
let side = settings.side;
let about = null; // the picture that comes next
let on = false; // from Start to Stop
let fresh = false; // the camera has a frame that was not sent
let idle = false; // nothing is on its way, and a new frame is waited for
let flying = false; // a frame is on its way
let loading = false; // a chain is
let sent = 0; // when the frame that is on its way was taken
let shown = null; // figures, smoothed; null before the first frame of a chain, which loads networks

for (const name of settings.chains) $("chain").add(new Option(name));
$("chain").value = settings.chain;
$("before").closest("label").hidden = own;

const wrong = (text) => {
  $("error").textContent = text;
  $("error").hidden = !text;
};

const said = (text) => {
  if ($("said").textContent !== text) $("said").textContent = text;
};

const reason = (error) => {
  if (error.name === "NotAllowedError") return "The browser was not allowed to use the camera: allow it for this page, and start again.";
  if (error.name === "NotFoundError" || error.name === "OverconstrainedError") return "There is no camera here. ganchain live CHAIN --camera FILE plays a video instead.";
  if (error.name === "NotReadableError") return "The camera gives no picture: does another program use it?";
  return `The camera cannot be used: ${error.message}`;
};

const openCamera = async () => {
  if (!navigator.mediaDevices) throw new DOMException("browsers give it only to localhost, or over https", "SecurityError");
  const video = { width: { ideal: settings.side }, height: { ideal: Math.round((settings.side * 9) / 16) }, facingMode: "user" };
  stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
  for (const track of stream.getTracks()) track.addEventListener("ended", () => stop("The camera was taken away."));
  $("camera").srcObject = stream;
  await $("camera").play();
  $("camera").requestVideoFrameCallback?.(seen);
};

const send = async () => {
  if (socket?.readyState !== WebSocket.OPEN) return;
  const to = socket;
  sent = performance.now();
  [fresh, idle, flying] = [false, false, true];
  if (own) return to.send('{"next": true}');
  const video = $("camera");
  const scale = Math.min(1, side / Math.max(video.videoWidth, video.videoHeight));
  grab.width = Math.max(1, Math.round(video.videoWidth * scale));
  grab.height = Math.max(1, Math.round(video.videoHeight * scale));
  grab.getContext("2d", { alpha: false }).drawImage(video, 0, 0, grab.width, grab.height);
  const blob = await new Promise((done) => grab.toBlob(done, "image/jpeg", QUALITY));
  if (blob && to.readyState === WebSocket.OPEN) to.send(blob);
};

// Send a frame that the camera has, or the next one that it gives.
const next = () => {
  [idle, flying] = [true, false];
  if (own || fresh || !$("camera").requestVideoFrameCallback) send();
};

const seen = () => {
  fresh = true;
  if (idle) send();
  if (stream) $("camera").requestVideoFrameCallback(seen);
};

const smoothed = (name, value) => (shown[name] = name in shown ? shown[name] + SMOOTH * (value - shown[name]) : value);
const ms = (seconds) => `${Math.round(seconds * 1000)} ms`;

const figures = (facts) => {
  $("size").textContent = facts.size.join(" × ");
  if (!shown) return void (shown = {});
  const now = performance.now();
  const latency = smoothed("latency", (now - sent) / 1000);
  if (shown.last) smoothed("gap", (now - shown.last) / 1000);
  shown.last = now;
  $("latency").textContent = `${ms(latency)} latency`;
  $("rate").textContent = shown.gap ? `${(1 / shown.gap).toFixed(1)} frames/s` : "";
  const parts = { send: (now - sent) / 1000 - facts.seconds.all, ...facts.seconds };
  $("parts").replaceChildren(
    ...Object.entries(STEPS).flatMap(([name, text]) => {
      const [term, value] = [document.createElement("dt"), document.createElement("dd")];
      [term.textContent, value.textContent] = [text, ms(smoothed(name, parts[name] ?? 0))];
      return [term, value];
    }),
  );
};

const notes = (facts) => {
  if (facts.failed) return `The frame stayed as it was: ${facts.failed}`;
  if (facts.slow) return `This chain takes ${ms(facts.slow)} a frame here: ${(1 / facts.slow).toFixed(1)} frames/s.`;
  return facts.faces ? "" : "No face is seen.";
};

const draw = async (blob, facts) => {
  const bitmap = await createImageBitmap(blob);
  const canvas = $("picture");
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  canvas.getContext("2d", { alpha: false }).drawImage(bitmap, 0, 0);
  bitmap.close();
  if (!on) return;
  figures(facts);
  side = facts.side;
  if (!loading) said(notes(facts));
  $("photo").disabled = loading;
  next();
};

const keep = (blob, facts) => {
  const link = document.createElement("a");
  const image = new Image();
  link.download = `${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}-${facts.photo}`;
  link.href = image.src = URL.createObjectURL(blob);
  image.alt = `Photo ${link.download}`;
  link.append(image);
  $("photos").prepend(link);
  for (const old of [...$("photos").children].slice(KEPT)) {
    URL.revokeObjectURL(old.href);
    old.remove();
  }
  link.click();
};

const take = ({ data }) => {
  if (data instanceof Blob) return void (about.photo ? keep(data, about) : draw(data, about));
  const message = JSON.parse(data);
  if (message.error) return stop(message.error);
  if (message.ready) {
    loading = false;
    shown = null;
    said("");
    return void (flying || next());
  }
  about = message;
};

const load = () => {
  if (socket?.readyState !== WebSocket.OPEN) return;
  loading = $("photo").disabled = true;
  said("Loading the chain …");
  socket.send(JSON.stringify({ chain: $("chain").value }));
};

const start = async () => {
  on = true;
  wrong("");
  said("Starting …");
  $("start").textContent = "Stop";
  [about, side, idle, flying] = [null, settings.side, false, false];
  try {
    if (!own && !stream) await openCamera();
  } catch (error) {
    return stop(reason(error));
  }
  if (!on) return stop();
  const opened = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
  socket = opened;
  opened.onopen = load;
  opened.onmessage = (event) => opened === socket && take(event);
  opened.onclose = () => opened === socket && stop("The server has ended the connection.");
};

const stop = (text = "") => {
  const closing = socket;
  [socket, on] = [null, false];
  closing?.close();
  if (stream) for (const track of stream.getTracks()) track.stop();
  stream = null;
  $("camera").srcObject = null;
  $("start").textContent = "Start";
  $("photo").disabled = true;
  said(text ? "" : "Stopped.");
  wrong(text);
};

$("start").addEventListener("click", () => (on ? stop() : start()));
$("photo").addEventListener("click", () => socket?.send('{"photo": true}'));
$("before").addEventListener("change", () => $("camera").classList.toggle("away", !$("before").checked));
$("chain").addEventListener("change", load);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden || !on) return;
  stop();
  said("Paused, since the page was hidden.");
});
$("start").disabled = false;
