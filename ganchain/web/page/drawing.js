// What is drawn for the screen: the draft of the current photo, then the presets on its face, one after the other.

import { draftOf, filesOf } from "./chain.js";
import { draft } from "./server.js";
import { changed, current, set, state, withPhoto } from "./store.js";
import { say } from "./texts.js";
import { screen } from "./viewer.js";

const KEPT = 40; // drafts
const QUIET = 350; // ms without a change, after which presets are drawn
const SMALL = 480; // px of the photo in which a preset's thumbnail is drawn; it shows the face alone
const place = Math.random().toString(36).slice(2); // of this tab

const drafts = new Map(); // what was asked for: {wanted, url, status, seconds}
let drawing = false;
let later = 0;

const side = () => Math.min(1200, Math.max(480, Math.ceil(screen.side / 160) * 160)); // in steps, since the server keeps what it read at each
const wantedOf = (photo) => `${photo.key} ${draftOf(state.chain, photo.rule)} ${JSON.stringify(filesOf(state.chain, state.files))}`;

const ask = (photo, chain, px, where) => withPhoto(photo, () => draft({
  chain, photo: photo.id, files: filesOf(state.chain, state.files), side: px, place: `${place} ${where}`,
}));

const keepDraft = (wanted, drawn) => {
  drafts.set(wanted, drawn);
  if (drafts.size > KEPT) {
    const [oldest, { url }] = drafts.entries().next().value;
    drafts.delete(oldest);
    if (!state.photos.some((photo) => photo.draft?.url === url)) URL.revokeObjectURL(url);
  }
};

// What takes longest is a drawing of the whole photo: at first the face is shown as it is before that.
const drawBegun = async (photo) => {
  const at = state.chain.stages.findIndex(({ options }) => options.scope === "photo");
  if (photo.draft || at < 1) return;
  const begun = { ...state.chain, stages: state.chain.stages.slice(0, at) };
  const { blob } = await ask(photo, draftOf(begun, photo.rule), side(), "large");
  photo.draft = { wanted: "", url: URL.createObjectURL(blob) };
  changed();
};

const drawCurrent = async (photo, wanted) => {
  try {
    await drawBegun(photo);
    const { blob, ...report } = await ask(photo, draftOf(state.chain, photo.rule), side(), "large");
    const drawn = { wanted, url: URL.createObjectURL(blob), ...report };
    keepDraft(wanted, drawn);
    photo.draft = drawn;
    if (wantedOf(photo) === wanted) Object.assign(state, { problems: [], error: "" });
  } catch (error) {
    if (error.status === 409) return;
    photo.draft = { ...photo.draft, wanted }; // the last good picture stays
    if (wantedOf(photo) === wanted) set({ problems: error.problems ?? [], error: error.unreachable ? say("unreachable") : error.message });
  }
};

const drawThumb = async (photo, preset) => {
  const { stages } = preset.chain;
  try {
    const chain = JSON.stringify({ stages });
    const { blob } = await ask(photo, chain, SMALL, "small");
    photo.thumbs[preset.name] = URL.createObjectURL(blob);
  } catch { photo.thumbs[preset.name] = ""; }
};

// Draw what is missing; called after every change.
export const draw = async () => {
  const photo = current();
  if (drawing || !photo?.faces || photo.error) return;
  const wanted = wantedOf(photo);
  if (photo.draft?.wanted !== wanted && drafts.has(wanted)) {
    photo.draft = drafts.get(wanted);
    changed();
  }
  if (photo.draft?.wanted !== wanted) {
    drawing = true;
    changed();
    await drawCurrent(photo, wanted);
    drawing = false;
    changed(); // and so called again
    return;
  }
  clearTimeout(later);
  const preset = state.presets.find(({ name }) => !(name in photo.thumbs));
  if (!preset || state.run) return;
  later = setTimeout(async () => {
    if (drawing || state.run || wantedOf(photo) !== wanted || current() !== photo) return;
    drawing = true;
    await drawThumb(photo, preset);
    drawing = false;
    changed();
  }, QUIET / (1 + Object.keys(photo.thumbs).length));
};

export const isDrawing = (photo) => Boolean(photo?.faces) && !photo.error && photo.draft?.wanted !== wantedOf(photo);
