// The page: it connects photos, chain and results.

import { Chain } from "./chain.js";
import { cancel, changed, copied, progress, result, run } from "./jobs.js";
import { ask, forget, Photos, upload } from "./photos.js";

const $ = (id) => document.getElementById(id);
const [stages, schema, bundled] = await Promise.all(["/stages", "/schema", "/chains"].map((address) => ask(address)));
const photos = new Photos();
const chain = new Chain(stages, schema, bundled, upload, forget);
let busy = false;
let stopped = false;

const rule = () => (Array.isArray(chain.faces) ? "chosen" : chain.faces);

const faces = () => {
  photos.mark(chain.faces);
  const usable = (photos.current?.faces ?? []).filter((face) => face.number !== null);
  $("faces-rule").hidden = usable.length < 2;
  $("faces-rule").querySelector(`[value="${rule()}"]`).checked = true;
};

const asYaml = async () => {
  const text = chain.text.startsWith("{") ? chain.text : bundled.find((entry) => entry.name === chain.text).yaml;
  const body = JSON.stringify({ chain: text });
  try {
    $("yaml").textContent = (await ask("/chain", { method: "POST", headers: { "Content-Type": "application/json" }, body })).yaml;
  } catch (error) {
    $("yaml").textContent = error.message;
  }
};

const ready = () => {
  $("run").disabled = busy || !photos.all.length || !chain.stages.length;
  $("run").textContent = photos.all.length > 1 ? `Run on ${photos.all.length} photos` : "Run";
  $("cancel").hidden = !busy;
};

const wrong = (message) => {
  $("error").textContent = message;
  $("error").hidden = !message;
};

const shown = () => {
  const job = photos.current?.job;
  const done = job?.state === "done";
  $("result").hidden = !done;
  if (done) $("result").replaceChildren(...result(job));
  else $("result").replaceChildren();
  const problems = job?.problems ?? [];
  const elsewhere = chain.mark(problems);
  const marked = problems.length > elsewhere.length ? ["Not run: an option of the chain is wrong, and marked there."] : [];
  const reasons = problems.length ? [...marked, ...elsewhere] : [job?.error];
  wrong(job?.state === "failed" ? reasons.join("\n") : "");
};

const listen = (job) => {
  const { share, text } = progress(job);
  $("progress").hidden = false;
  if (share === null) $("bar").removeAttribute("value");
  else $("bar").value = share;
  $("progress-said").textContent = photos.all.length > 1 ? `${job.photo}: ${text}` : text;
};

const runOne = async (order, photo) => {
  photo.state = "…";
  try {
    const job = await run(order, photo, listen);
    if (job.state === "done") photo.state = changed(job) ? "✓" : "no face";
    else photo.state = "";
  } catch (error) {
    photo.state = "!";
    const reason = error.message.replace(/^[\w-]+\.yaml:\d+: /, "");
    photo.job = { ...(photo.job ?? {}), state: "failed", error: reason, problems: error.problems ?? [] };
  }
};

const go = async () => {
  busy = true;
  stopped = false;
  ready();
  $("cancel").focus(); // the disabled Run would lose the focus
  wrong("");
  $("result").hidden = true;
  const todo = [...photos.all];
  const order = { text: chain.text, name: chain.name, files: { ...chain.files } }; // later changes do not count
  await Promise.all(todo.map((photo) => photo.job?.id && forget(`/jobs/${photo.job.id}`)));
  for (const photo of todo) Object.assign(photo, { job: null, state: "", cancelled: false });
  for (const photo of todo) {
    if (stopped || !photos.all.includes(photo)) continue;
    await runOne(order, photo);
    if (!photos.all.includes(photo)) continue;
    photos.show(photo);
  }
  busy = false;
  const focused = document.activeElement === $("cancel") || document.activeElement === document.body;
  $("progress").hidden = true;
  $("progress-said").textContent = stopped ? "Cancelled." : "";
  ready();
  if (focused) $("run").focus({ preventScroll: true });
  const place = chain.jump() ? null : $("error");
  if (place && !place.hidden) place.scrollIntoView({ block: "nearest", behavior: "smooth" });
  if (!$("result").hidden) $("result-title").scrollIntoView({ block: "nearest", behavior: "smooth" });
};

photos.addEventListener("show", () => { faces(); shown(); ready(); });
photos.addEventListener("choose", (event) => { chain.setFaces(event.detail); faces(); });
chain.addEventListener("change", () => { faces(); ready(); asYaml(); });
$("faces-rule").addEventListener("change", (event) => {
  const usable = photos.current.faces.filter((face) => face.number !== null).map((face) => face.number);
  chain.setFaces(event.target.value === "chosen" ? usable : event.target.value);
  faces();
});
$("run").addEventListener("click", go);
$("cancel").addEventListener("click", () => { stopped = true; photos.all.forEach(cancel); });
$("copy-yaml").addEventListener("click", () => copied($("copy-yaml"), $("yaml").textContent));
window.addEventListener("beforeunload", (event) => { if (busy) event.preventDefault(); });
window.addEventListener("pagehide", (event) => {
  if (event.persisted) return; // the browser may show the page again
  const gone = (address) => fetch(address, { method: "DELETE", keepalive: true });
  for (const photo of photos.all) {
    if (photo.job?.id) gone(`/jobs/${photo.job.id}`);
    gone(`/photos/${photo.id}`);
  }
});
ready();
asYaml();
