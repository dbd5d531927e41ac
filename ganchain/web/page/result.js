// The result: the picture before and after, what is said of it, and the bar with its buttons.

import { html, useState } from "./vendor/preact.js";
import { isDrawing } from "./drawing.js";
import * as making from "./making.js";
import { Crop, faceOf, kinds, pick, shownOf } from "./panel.js";
import * as store from "./store.js";
import { nameOf, say, sizeText, timeText } from "./texts.js";
import { Viewer } from "./viewer.js";

const { state } = store;
export const view = {}; // what the keyboard does with the viewer
const DISPLAYED = /\.(png|jpe?g|webp|svg)$/;

// The picture after, as good as it is there: a step that was chosen, the full picture, or the draft.
const after = (photo, step) => {
  if (!making.isMade(photo)) return photo.draft?.url;
  const { job } = photo.made;
  const [shown] = job.report.pictures;
  if (step !== null && job.previews[step]) return job.previews[step].address;
  return state.chain.output.write !== "faces" && DISPLAYED.test(shown.name) ? job.pictures[0] : job.previews.at(-1).address;
};

const Steps = ({ photo, step, setStep }) => {
  const { previews } = photo.made.job;
  if (previews.length < 2) return null;
  const name = ({ shows }) => (shows === "photo" ? say("original") : nameOf("stage", shows.replace(/-\d+$/, "")));
  const now = step ?? previews.length - 1;
  return html`<div class="steps row" role="group" aria-label=${say("steps")}>${previews.map((preview, index) => html`<button type="button" class="preset"
    aria-pressed=${index === now} onclick=${() => setStep(index === previews.length - 1 ? null : index)}>
    <${Crop} photo=${photo} url=${preview.address} /><span>${name(preview)}</span></button>`)}</div>`;
};

const FacePictures = ({ job }) => html`<div class="pictures" role="group" aria-label=${say("pictures")}>${job.thumbnails.map((address, index) => {
  const { name, bytes } = job.report.pictures[index];
  return html`<a href=${job.pictures[index]} download=${name} title=${`${name}, ${sizeText(bytes)}`}><img class="checks" loading="lazy" src=${address} alt=${name} /></a>`;
})}</div>`;

const Welcome = () => html`<${Viewer} before="/samples/astronaut.webp" after="/samples/drawing.webp" size=${[512, 512]} start=${44} alt=${say("about")} view=${view}
  overlay=${html`<p class="welcome">${say("about")}</p>`} />`;

// Where the middle of the face is, in % of the width: there the line begins.
const middle = (photo) => {
  const { box } = faceOf(photo) ?? { box: [0, 0, photo.size[0]] };
  return Math.min(90, Math.max(10, (50 * (box[0] + box[2])) / photo.size[0]));
};

const told = (photo) => {
  if (!photo) return say("about");
  if (!photo.faces) return "";
  if (making.isMade(photo)) {
    const { report } = photo.made.job;
    if (report.status === "no_face") return say("noChange");
    return say("made", ...making.expected(photo).size, sizeText(report.pictures.reduce((sum, { bytes }) => sum + bytes, 0)));
  }
  if (photo.expired) return say("expired");
  if (photo.draft?.status === "no_face") return say("noChange");
  const { size, bytes } = making.expected(photo);
  return say(state.scale > 1 ? "enlarges" : "draftOnly", ...size, sizeText(bytes));
};

const doing = (job) => {
  if (!job?.stage) return job?.place ? say("waiting", job.place) : say("loading");
  const phases = { loading: "loading", reading: "readingPhoto", writing: "writing" };
  return job.stage in phases ? say(phases[job.stage]) : nameOf("stage", job.stage.replace(/-\d+$/, ""));
};

const Progress = () => {
  const { share, left } = making.progress(state.run);
  const { photos, at, job } = state.run;
  const parts = [
    ...(photos.length > 1 ? [say("ofPhotos", at + 1, photos.length)] : []),
    say("percent", doing(job), Math.round(100 * share)),
    ...(left === null ? [] : [say("left", timeText(left))]),
  ];
  return html`<div class="progress"><progress max="1" value=${share} aria-label=${say("result")}></progress><span role="status">${parts.join(" · ")}</span></div>
    <button type="button" onclick=${making.cancel} id="cancel">${say("cancel")}</button>`;
};

const Announced = () => {
  const { photos, pixels, bytes } = state.announced;
  const less = making.smaller(state.chain);
  const factor = (chain) => chain.stages.length === state.chain.stages.length;
  const go = (chain) => {
    if (chain) store.change(chain);
    store.set({ announced: null });
    if (!chain) making.makeAll(photos, { large: true });
  };
  return html`<div class="announced" role="alertdialog" aria-label=${say("large", Math.round(pixels), sizeText(bytes))}>
    <p>${say("large", Math.round(pixels), sizeText(bytes))}</p>
    <div class="row"><button type="button" onclick=${() => go(null)}>${say("largeGo")}</button>
    ${less && html`<button type="button" class="main" onclick=${() => go(less)}>${factor(less) ? say("largeLess", Math.round(pixels / 4), sizeText(bytes / 4)) : say("largeNone")}</button>`}
    <button type="button" onclick=${() => store.set({ announced: null })}>${say("cancel")}</button></div>
  </div>`;
};

const Bar = ({ photo }) => {
  const ready = photo?.faces && !photo.error;
  const link = ready && making.isMade(photo) ? making.linkTo(photo.made) : null;
  const others = state.photos.filter((each) => each.faces && !each.error).length;
  if (state.run) return html`<div class="bar"><${Progress} /></div>`;
  return html`<div class="bar">
    <button type="button" class="icon" onclick=${store.undo} disabled=${!state.past.length} aria-label=${say("undo")} title=${say("undo")}>↶</button>
    <button type="button" class="icon" onclick=${store.redo} disabled=${!state.future.length} aria-label=${say("redo")} title=${say("redo")}>↷</button>
    <span class="grow"></span>
    ${!photo && html`<label class="button main"><input type="file" accept=${kinds()} multiple onchange=${pick} />${say("choose")}</label>`}
    ${photo && others > 1 && html`<button type="button" id="all" onclick=${making.downloadAll}>${say("downloadAll", others)}</button>`}
    ${ready && !link && html`<button type="button" id="full" onclick=${() => making.makeAll([photo])}>${say("full")}</button>`}
    ${link ? html`<a class="button main" id="download" href=${link.href} download=${link.name}>${say("download")}</a>`
    : photo && html`<button type="button" class="main" id="download" disabled=${!ready} onclick=${making.download}>${say("download")}</button>`}
  </div>`;
};

export const Result = ({ held }) => {
  const photo = store.current();
  const [chosen, setChosen] = useState({});
  const made = making.isMade(photo);
  const order = photo && `${photo.key} ${made && photo.made.job.id}`;
  const step = chosen.order === order ? chosen.step : null;
  const before = photo && shownOf(photo);
  const pictures = made && photo.made.job.thumbnails.length > 0;
  const error = state.problems.length && !state.error ? say("wrongValue") : state.error;
  return html`<section class="result" aria-label=${say("result")}>
    ${!photo ? html`<${Welcome} />` : before && photo.size ? html`<${Viewer} before=${before} after=${after(photo, step)} size=${photo.size} alt=${photo.name}
      busy=${isDrawing(photo)} start=${middle(photo)} held=${held} view=${view} />` : html`<div class="viewer empty"><p role="status">${photo.error || say("reading")}</p></div>`}
    <div class="under">
      ${pictures ? html`<${FacePictures} job=${photo.made.job} />` : made && html`<${Steps} photo=${photo} step=${step} setStep=${(next) => setChosen({ order, step: next })} />`}
      ${state.announced ? html`<${Announced} />` : error ? html`<p class="error" role="alert">${error}</p>` : html`<p class="said" role="status">${told(photo)}</p>`}
    </div>
    <${Bar} photo=${photo} />
  </section>`;
};
