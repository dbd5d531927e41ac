// The full pictures: one job after the other, with how far they are, and how they are downloaded.

import { filesOf, textOf } from "./chain.js";
import { forget, run } from "./server.js";
import { changed, current, save, set, state, withPhoto } from "./store.js";
import { say } from "./texts.js";

const LARGE = 40; // megapixels that are announced before they are made
const BYTES = { png: 1.2, jpeg: 0.3, webp: 0.2, tiff: 3, svg: 0.1 }; // for each pixel, roughly

export const orderOf = (photo) => textOf(state.chain, photo.rule);
export const isMade = (photo) => Boolean(photo?.made) && photo.made.order === orderOf(photo);
export const unmade = () => state.photos.filter((photo) => photo.faces && !photo.error && !isMade(photo));

const format = () => state.chain.output.format ?? state.output.format.default;
export const expected = (photo) => {
  const pixels = (photo.size[0] * photo.size[1] * state.scale ** 2) / 1e6;
  return { size: photo.size.map((side) => side * state.scale), pixels, bytes: pixels * 1e6 * BYTES[format()] };
};

const make = async (photo) => {
  const order = orderOf(photo);
  const files = filesOf(state.chain, state.files);
  const job = await withPhoto(photo, () => run(
    { chain: order, name: state.chain.preset || "my-chain", photo: photo.id, files },
    (now) => {
      if (!state.run || state.run.cancelled) forget(`/jobs/${now.id}`);
      else set({ run: { ...state.run, job: now } });
    },
  ));
  if (job.state !== "done") return;
  if (photo.made) forget(`/jobs/${photo.made.job.id}`);
  Object.assign(photo, { made: { order, job }, expired: false });
};

// Make the pictures of photos. large: they were announced.
export const makeAll = async (photos, { large = false } = {}) => {
  if (state.run || !photos.length) return false;
  const most = photos.map(expected).sort((a, b) => b.pixels - a.pixels)[0];
  if (!large && most.pixels > LARGE) {
    set({ announced: { photos, ...most } });
    return false;
  }
  set({ announced: null, error: "", run: { photos, at: 0, job: null, cancelled: false, since: Date.now() } });
  for (const [at, photo] of photos.entries()) {
    if (state.run.cancelled) break;
    set({ run: { ...state.run, at, job: null } });
    try { await make(photo); } catch (error) {
      photo.failed = error.unreachable ? say("unreachable") : error.message;
      set({ problems: error.problems ?? [], error: photos.length > 1 ? `${photo.name}: ${photo.failed}` : photo.failed });
    }
  }
  const { cancelled } = state.run;
  set({ run: null });
  save();
  return !cancelled && photos.every(isMade);
};

export const cancel = () => {
  if (!state.run) return;
  const { job } = state.run;
  set({ run: { ...state.run, cancelled: true } });
  if (job) forget(`/jobs/${job.id}`);
};

// How far the run is: {share 0..1, left in s or null}
export const progress = ({ photos, at, job, since }) => {
  const now = job?.state === "done" ? 1 : job?.share ?? 0;
  const share = (at + now) / photos.length;
  const passed = (Date.now() - since) / 1000;
  const others = at ? (passed / (at + now)) * (photos.length - at - 1) : (job?.left ?? 0) * (photos.length - 1);
  return { share, left: job?.left === undefined ? null : job.left + others };
};

const press = (href, name) => {
  const link = Object.assign(document.createElement("a"), { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
};

export const linkTo = ({ job }) => (job.pictures.length > 1
  ? { href: `/pictures.zip?job=${job.id}`, name: `${job.photo.replace(/\.[^.]*$/, "")}.zip` }
  : { href: job.pictures[0], name: job.report.pictures[0].name });

export const download = async () => {
  const photo = current();
  if (!isMade(photo) && !(await makeAll([photo]))) return;
  const { href, name } = linkTo(photo.made);
  press(href, name);
};

export const zipOf = (photos) => `/pictures.zip?${new URLSearchParams(photos.map((photo) => ["job", photo.made.job.id]))}`;

export const downloadAll = async () => {
  await makeAll(unmade());
  const made = state.photos.filter(isMade);
  if (made.length && !unmade().some((photo) => !photo.failed)) press(zipOf(made), "pictures.zip");
  changed();
};

// Ask for a smaller picture than the announced one: the next smaller factor, or no enlargement.
export const smaller = (chain) => {
  const stages = [...chain.stages];
  const at = stages.findLastIndex(({ name }) => state.stages[name]?.options.factor);
  if (at < 0) return null;
  const factors = state.stages[stages[at].name].options.factor.choices?.[stages[at].options.weights ?? ""] ?? [];
  const now = stages[at].options.factor ?? Math.max(...factors);
  const less = factors.filter((factor) => factor < now).sort((a, b) => b - a)[0];
  if (less) stages[at] = { ...stages[at], options: { ...stages[at].options, factor: less } };
  else stages.splice(at, 1);
  return { ...chain, stages };
};
