// A video: three stills of it with the chain, then the whole video, and how far it is.

import { html } from "./vendor/preact.js";
import { draftOf, filesOf, textOf } from "./chain.js";
import { isDrawing } from "./drawing.js";
import { draft, forget, run, upload } from "./server.js";
import { addPhotos, changed, current, set, state, withPhoto } from "./store.js";
import { say, timeText } from "./texts.js";

const SUFFIX = /\.(mp4|m4v|mov|mkv|webm|avi|mpe?g|m?ts|m2ts|wmv|3gp|ogv)$/i;
const PLAYED = /\.(mp4|m4v|mov|webm)$/i; // by browsers
const SIDE = 480; // px of a still
const place = Math.random().toString(36).slice(2); // of this tab

const reasonOf = (error) => (error.unreachable ? say("unreachable") : error.message);
const files = () => filesOf(state.chain, state.files);
const wantedOf = () => `${draftOf(state.chain)} ${JSON.stringify(files())}`;

const sent = async (video) => {
  if (video.id) return;
  video.sending = 0;
  changed();
  try {
    const { id, name, seconds, stills } = await upload(video.blob, video.name, (share) => { video.sending = share; changed(); }, "video");
    Object.assign(video, { id, name, seconds, stills });
  } finally {
    video.sending = null;
    changed();
  }
};

const openStill = async (still) => {
  const blob = await (await fetch(`/photos/${still.id}/preview`)).blob();
  await addPhotos([new File([blob], still.name.replace(/\.png$/, blob.type === "image/webp" ? ".webp" : ".jpg"), { type: blob.type })]);
};

const addVideo = async (file) => {
  const { video: most, length } = state.limits;
  if (!length) return set({ error: say("noVideos") });
  removeVideo();
  const large = file.size > most ? say("tooLarge", Math.round(file.size / 1e6), Math.round(most / 1e6)) : "";
  const video = { name: file.name || "video", blob: file, id: null, error: large, sending: null, stills: null, drawn: [], wanted: "", job: null, made: null };
  set({ video, error: "" });
  if (large) return;
  try {
    await sent(video);
    if (!current() && state.video === video) await openStill(video.stills[Math.floor(video.stills.length / 2)]);
  } catch (error) { video.error = reasonOf(error); }
  changed();
};

export const removeVideo = () => {
  const { video } = state;
  if (!video) return;
  if (video.job?.id) forget(`/jobs/${video.job.id}`);
  if (video.made) forget(`/jobs/${video.made.job.id}`);
  if (video.id) forget(`/videos/${video.id}`);
  video.drawn.forEach(URL.revokeObjectURL);
  set({ video: null });
};

// Add what was chosen, dropped or pasted: photos, and one video.
export const addFiles = (given) => {
  const isVideo = (file) => file.type.startsWith("video/") || SUFFIX.test(file.name);
  const photos = given.filter((file) => !isVideo(file));
  if (photos.length) addPhotos(photos);
  const video = given.findLast(isVideo);
  if (video) addVideo(video);
};

// Draw the chain on the stills, where it has changed; called after every change.
let drawing = false;
export const drawStills = async () => {
  const { video } = state;
  const wanted = wantedOf();
  if (drawing || !video?.stills || video.job || video.wanted === wanted || isDrawing(current())) return;
  drawing = true;
  try {
    for (let number = 0; number < video.stills.length && wanted === wantedOf() && state.video === video; number += 1) {
      const { blob } = await withPhoto(video, () => draft({
        chain: draftOf(state.chain), photo: video.stills[number].id, files: files(), side: SIDE, place: `${place} still ${number}`,
      }), sent);
      if (video.drawn[number]) URL.revokeObjectURL(video.drawn[number]);
      video.drawn[number] = URL.createObjectURL(blob);
      changed();
    }
    if (wanted === wantedOf()) Object.assign(video, { wanted, error: "" });
  } catch (error) { if (error.status !== 409) Object.assign(video, { wanted, error: reasonOf(error) }); }
  drawing = false;
  changed(); // and so called again
};

const make = async () => {
  const { video } = state;
  const order = textOf(state.chain);
  Object.assign(video, { job: {}, error: "" });
  changed();
  try {
    const job = await withPhoto(video, () => run({ chain: order, name: state.chain.preset || "my-chain", video: video.id, files: files() }, (now) => {
      if (video.job && state.video === video) video.job = now;
      else forget(`/jobs/${now.id}`);
      changed();
    }), sent);
    if (job.state === "done") {
      if (video.made) forget(`/jobs/${video.made.job.id}`);
      video.made = { order, job };
    }
  } catch (error) { if (video.job) video.error = reasonOf(error); }
  video.job = null;
  changed();
};

const cancel = () => {
  const { job } = state.video;
  state.video.job = null;
  if (job?.id) forget(`/jobs/${job.id}`);
  changed();
};

const doing = ({ stage, place: before }) => {
  if (before) return say("waiting", before);
  return say({ track: "tracking", edit: "editing", write: "writing" }[stage] ?? "loading");
};

const Progress = ({ job }) => {
  const parts = [say("percent", doing(job), Math.round(100 * (job.share ?? 0))), ...(job.left ? [say("left", timeText(job.left))] : [])];
  return html`<div class="row"><div class="progress"><progress max="1" value=${job.share ?? 0} aria-label=${say("video")}></progress>
    <span role="status">${parts.join(" · ")}</span></div><button type="button" onclick=${cancel}>${say("cancel")}</button></div>`;
};

const Made = ({ job }) => {
  const { name, edited, notes } = job.report.video;
  return html`${PLAYED.test(name) && html`<video controls playsinline loop src=${job.video}></video>`}
    ${!edited && job.report.status === "no_face" && html`<p class="quiet" role="status">${say("noFace")}</p>`}
    ${notes.map((note) => html`<p class="quiet">${note}</p>`)}
    <a class="button main" id="download-video" href=${job.video} download=${name}>${say("download")}</a>`;
};

const Stills = ({ video }) => html`<div class="stills" role="group" aria-label=${say("stills")}>${video.stills.map((still, number) => html`<button type="button"
  class="tile" aria-label=${say("still", number + 1)} title=${say("still", number + 1)} onclick=${() => openStill(still)}>
  <img class="checks" src=${video.drawn[number] ?? `/photos/${still.id}/preview`} alt="" data-drawn=${video.drawn[number] ? video.wanted !== "" : false} /></button>`)}</div>`;

export const Video = () => {
  const { video } = state;
  if (!video) return null;
  const made = video.made?.order === textOf(state.chain) ? video.made.job : null;
  const going = video.sending === null || video.sending === 1 ? say("readingVideo") : say("sending", video.name, Math.round(100 * video.sending));
  return html`<section class="video" aria-labelledby="video-title"><div class="head">
      <h2 id="video-title">${video.name}${video.seconds ? ` · ${timeText(video.seconds)}` : ""}</h2>
      <button type="button" class="icon" aria-label=${say("remove", video.name)} onclick=${removeVideo}>✕</button></div>
    ${video.stills ? html`<${Stills} video=${video} />` : !video.error && html`<p class="quiet" role="status">${going}</p>`}
    ${video.error && html`<p class="error" role="alert">${video.error}</p>`}
    ${video.job ? html`<${Progress} job=${video.job} />` : made ? html`<${Made} job=${made} />`
    : video.stills && html`<button type="button" class="main" id="make-video" onclick=${make}>${say("makeVideo")}</button>`}
  </section>`;
};
