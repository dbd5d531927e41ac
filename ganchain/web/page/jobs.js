// Jobs: one for each photo, with its place in the queue, its stages and its result.

import { element } from "./chain.js";
import { ask, forget } from "./photos.js";

const INTERVAL = 400; // ms between two requests for the state of a job
const PATIENCE = 30_000; // ms without an answer of the server, until a job is given up
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const copied = async (button, text) => {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    const area = element("textarea", { value: text, readOnly: true });
    button.after(area);
    area.select();
    button.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl-C";
    area.remove();
  }
  setTimeout(() => { button.textContent = before; }, 1500);
};

// Describe the progress of a job for the bar: {share 0..1 or null, text}
export const progress = (job) => {
  if (job.state === "waiting") {
    const ahead = job.place === 1 ? "1 photo is" : `${job.place} photos are`;
    return { share: null, text: job.place ? `Waiting: ${ahead} before this one.` : "Waiting." };
  }
  if (job.state === "running") {
    const at = job.step ? `${job.stage} (${job.step} of ${job.steps})` : job.stage;
    return { share: job.step ? (job.step - 0.5) / job.steps : null, text: `${at} …` };
  }
  return { share: 1, text: "" };
};

export const run = async (chain, photo, listen) => {
  const body = JSON.stringify({ chain: chain.text, name: chain.name, photo: photo.id, files: chain.files });
  const headers = { "Content-Type": "application/json" };
  let job = await ask("/jobs", { method: "POST", headers, body });
  photo.job = job;
  let lost = 0;
  while (job.state === "waiting" || job.state === "running") {
    listen(job);
    await sleep(INTERVAL);
    if (photo.cancelled) return { ...job, state: "cancelled" };
    try {
      job = await ask(`/jobs/${job.id}`);
      photo.job = job;
      lost = 0;
    } catch (error) {
      lost += INTERVAL;
      if (!error.unreachable || lost > PATIENCE) throw error;
    }
  }
  if (job.state === "failed") throw Object.assign(new Error(job.error), { problems: job.problems ?? [] });
  return job;
};

export const cancel = (photo) => {
  photo.cancelled = true;
  if (photo.job?.id) forget(`/jobs/${photo.job.id}`);
};

const STATUS = {
  ok: (report) => {
    const edited = report.faces.filter((face) => face.left_out === null).length;
    const seconds = Object.values(report.seconds).reduce((sum, time) => sum + time, 0);
    return `${edited === 1 ? "1 face" : `${edited} faces`} edited in ${seconds.toFixed(1)} s.`;
  },
  no_face: (report) => (report.faces.some((face) => face.number !== null)
    ? "None of the faces that the chain chooses is in this photo: nothing was changed."
    : "No face was found to edit: nothing was changed."),
};

export const changed = (job) => job.report.status !== "no_face";

export const result = (job) => {
  const [before, ...after] = job.previews;
  const slider = element("before-after", { at: "50" });
  const original = element("img", { slot: "before", alt: "before", src: before.address });
  const edited = element("img", { slot: "after", alt: "after", src: (after.at(-1) ?? before).address });
  slider.append(original, edited);
  const [width, height] = job.report.size;
  slider.style.maxWidth = `calc(80vh * ${width / height})`; // all of it on one screen
  const [face] = job.report.faces;
  const middle = face ? [(face.box[0] + face.box[2]) / 2 / width, (face.box[1] + face.box[3]) / 2 / height] : [0.5, 0.5];
  const steps = element("div", { className: "steps", role: "group", "aria-label": "After each stage" });
  for (const [index, step] of after.entries()) {
    const button = element(
      "button", { type: "button", "aria-pressed": String(index === after.length - 1) },
      element("img", { src: step.address, alt: "" }), element("span", { textContent: step.shows }),
    );
    button.firstElementChild.style.objectPosition = middle.map((share) => `${100 * share}%`).join(" ");
    button.onclick = () => {
      edited.src = step.address;
      for (const each of steps.children) each.setAttribute("aria-pressed", String(each === button));
    };
    steps.append(button);
  }
  const pictures = element("div", { className: "pictures row" });
  for (const [index, picture] of job.report.pictures.entries()) {
    const address = job.pictures[index];
    const one = changed(job) ? "Download the picture" : "Download the unchanged photo";
    const label = job.pictures.length > 1 ? `Download ${picture.name}` : one;
    const className = changed(job) ? "button main" : "button";
    pictures.append(element("a", { className, href: address, download: picture.name, textContent: label }));
  }
  pictures.append(element("a", { className: "button", href: job.yaml, download: `${job.chain}.yaml`, textContent: "Download the YAML" }));
  const command = element("code", { textContent: job.command });
  const copy = element("button", { type: "button", className: "small", textContent: "Copy", "aria-label": "Copy the command" });
  copy.onclick = () => copied(copy, job.command);
  const size = (bytes) => (bytes > 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.round(bytes / 1e3)} kB`);
  const files = job.report.pictures.map((picture) => `${picture.name}, ${size(picture.bytes)}`).join("; ");
  const parts = [element("p", { textContent: STATUS[job.report.status](job.report) })];
  if (after.length) parts.push(slider, steps);
  parts.push(pictures, element("p", { className: "quiet", textContent: files }));
  parts.push(element("p", { className: "row" }, element("span", { className: "quiet grow" }, "The same on the command line: ", command), copy));
  return parts;
};
