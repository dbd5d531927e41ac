// The state of the page, what changes it, and what is kept of it over a reload.

import * as chains from "./chain.js";
import { clear, drop, keep, recall } from "./memory.js";
import { ask, forget, upload } from "./server.js";
import { language, say } from "./texts.js";

const PAST = 100; // changes that can be undone
const TOGETHER = 700; // ms in which changes of one control count as one

export const state = {
  ready: false,
  stages: {}, // by name: {name, about, options, alternatives}
  output: {}, // JSON schema by option
  presets: [], // {name, about, chain}
  limits: {},
  photos: [], // {key, name, blob, shown, id, size, faces, rule, sending, error, draft, made, thumbs}
  current: null, // key of a photo
  video: null, // {name, blob, id, seconds, stills, drawn, wanted, sending, error, job, made}; it does not survive a reload
  chain: { preset: "", stages: [], output: {} },
  files: {}, // reference photos that the chain names: {name: {id, blob, shown}}
  past: [],
  future: [],
  yaml: "",
  scale: 1, // how many times as wide as the photo its picture is
  problems: [], // {key, reason} of the chain
  error: "",
  run: null, // {keys, at, job, cancelled, since}
  announced: null, // {keys, pixels, bytes}: waits for a yes
  dialog: "", // "help", "camera" or "yaml"
  lang: language(),
};

const listeners = new Set();
let told = false;
export const listen = (listener) => { listeners.add(listener); };
export const changed = () => {
  if (told) return;
  told = true;
  queueMicrotask(() => { told = false; for (const listener of listeners) listener(); });
};
export const set = (values) => { Object.assign(state, values); changed(); };
export const current = () => state.photos.find((photo) => photo.key === state.current) ?? null;

// what can be undone

let last = { control: "", at: 0 };
const snapshot = () => ({ chain: state.chain, rules: Object.fromEntries(state.photos.map((photo) => [photo.key, photo.rule])) });

const restore = ({ chain, rules }) => {
  state.chain = chain;
  for (const photo of state.photos) photo.rule = rules[photo.key] ?? photo.rule;
  afterChange();
};

const remember = (control) => {
  const now = Date.now();
  if (!control || control !== last.control || now - last.at > TOGETHER) {
    state.past = [...state.past.slice(-PAST), snapshot()];
    state.future = [];
  }
  last = { control, at: now };
};

const step = (from, to) => {
  if (!state[from].length) return;
  const other = state[from].at(-1);
  state[from] = state[from].slice(0, -1);
  state[to] = [...state[to], snapshot()];
  last = { control: "", at: 0 };
  restore(other);
};
export const undo = () => step("past", "future");
export const redo = () => step("future", "past");

// the chain

const afterChange = () => {
  set({ problems: [], error: "", announced: null });
  describe();
  save();
};

// control: what was moved; changes of the same one within a moment are undone together
export const change = (chain, control = "") => {
  remember(control);
  state.chain = { ...chain, preset: "" };
  afterChange();
};

export const choosePreset = (name) => {
  const preset = state.presets.find((each) => each.name === name);
  remember("");
  state.chain = chains.chainOf(preset.chain, name);
  afterChange();
};

export const setOption = (stage, option, value) => {
  const next = chains.withOption(stage, state.stages[stage.name], option, value);
  const stages = state.chain.stages.map((each) => (each.key === stage.key ? next : each));
  change({ ...state.chain, stages }, `${stage.key} ${option}`);
};

export const setOutput = (option, value) => {
  const output = { ...state.chain.output };
  if (value === undefined || value === state.output[option].default) delete output[option];
  else output[option] = value;
  change({ ...state.chain, output }, `output ${option}`);
};

export const addStage = (name) => change({ ...state.chain, stages: [...state.chain.stages, { key: chains.key(), name, options: {} }] });
export const removeStage = (stage) => change({ ...state.chain, stages: state.chain.stages.filter((each) => each !== stage) });
export const moveStage = (stage, by) => {
  const stages = state.chain.stages.filter((each) => each !== stage);
  stages.splice(state.chain.stages.indexOf(stage) + by, 0, stage);
  change({ ...state.chain, stages });
};

let described = 0;
const describe = () => {
  described += 1;
  const mine = described;
  setTimeout(async () => {
    if (mine !== described) return;
    try {
      const { yaml, scale } = await ask("/chain", { chain: chains.textOf({ ...state.chain, preset: "" }, current()?.rule) });
      if (mine === described) set({ yaml, scale });
    } catch { /* the next change asks again */ }
  }, 300);
};

// Read a chain in YAML or JSON; its rule for faces holds for all photos.
export const open = async (text) => {
  try {
    const { chain } = await ask("/chain", { chain: text });
    const unknown = (chain.stages ?? []).map((item) => Object.keys(item)[0]).find((name) => !(name in state.stages));
    if (!chain.stages || unknown) throw new Error(unknown ? say("noStage", unknown) : say("noChain"));
    remember("");
    state.chain = chains.chainOf(chain);
    for (const photo of state.photos) photo.rule = chain.faces ?? "all";
    afterChange();
    const missing = state.chain.stages.flatMap(({ name, options }) => Object.entries(options)
      .filter(([option, value]) => chains.kindOf(state.stages[name].options[option] ?? {}).file && /\.\w+$/.test(value) && !(value in state.files)));
    if (missing.length) set({ error: say("noFile", missing.map(([, file]) => file).join(", ")) });
  } catch (error) { set({ error: error.unreachable ? say("unreachable") : error.message }); }
};

// photos

const DISPLAYED = /^image\/(png|jpeg|webp|gif|avif)$/; // by browsers
const shownOf = async (id) => (await fetch(`/photos/${id}/preview`)).blob();

export const sent = async (photo) => {
  if (photo.id) return photo;
  photo.sending = 0;
  photo.error = "";
  changed();
  try {
    const told = await upload(photo.blob, photo.name, (share) => { photo.sending = share; changed(); });
    Object.assign(photo, { id: told.id, name: told.name, size: told.size, faces: told.faces });
    if (!photo.shown) photo.shown = URL.createObjectURL(await shownOf(told.id));
  } finally {
    photo.sending = null;
    changed();
  }
  save();
  return photo;
};

// Do what needs a photo (or a video) on the server; where it is gone, it is sent again, with the files of the chain.
export const withPhoto = async (photo, act, sendIt = sent) => {
  const send = async () => {
    await sendIt(photo);
    for (const name of Object.keys(chains.filesOf(state.chain, state.files))) {
      const file = state.files[name];
      if (!file.id) file.id = (await upload(file.blob, name)).id;
    }
  };
  await send();
  try { return await act(); } catch (error) {
    if (error.status !== 404) throw error;
    photo.id = null;
    for (const file of Object.values(state.files)) file.id = null;
    await send();
    return act();
  }
};

export const addPhotos = async (files) => {
  const { photos: most, upload: bytes } = state.limits;
  const room = most - state.photos.length;
  set({ error: files.length > room ? say("tooMany", most) : "" });
  const taken = files.slice(0, Math.max(0, room)).map((file) => ({
    key: chains.key(), name: file.name || "photo", blob: file, rule: "all", faces: null, thumbs: {}, made: null,
    error: file.size > bytes ? say("tooLarge", Math.round(file.size / 1e6), Math.round(bytes / 1e6)) : "",
  }));
  if (!taken.length) return;
  const alone = !state.photos.length || taken.length === 1; // else the selection stays
  state.photos = [...state.photos, ...taken];
  if (alone) state.current = taken.find((photo) => !photo.error)?.key ?? taken[0].key;
  changed();
  for (const photo of taken.filter((each) => !each.error)) {
    try {
      await sent(photo);
      keep(`photo ${photo.key}`, photo.blob);
    } catch (error) { photo.error = error.unreachable ? say("unreachable") : error.message; }
    save();
  }
};

export const removePhoto = (photo) => {
  if (photo.id) forget(`/photos/${photo.id}`);
  if (photo.made) forget(`/jobs/${photo.made.job.id}`);
  drop(`photo ${photo.key}`);
  const at = state.photos.indexOf(photo);
  state.photos = state.photos.filter((each) => each !== photo);
  if (state.current === photo.key) state.current = state.photos[Math.min(at, state.photos.length - 1)]?.key ?? null;
  changed();
  save();
};

export const setRule = (photo, rule) => {
  remember("");
  photo.rule = rule;
  afterChange();
};

export const toggleFace = (photo, number) => {
  const all = chains.usable(photo).map((face) => face.number);
  const next = all.filter((each) => chains.chosen(photo, each) !== (each === number));
  setRule(photo, next.length === all.length ? "all" : next.length ? next : [number]);
};

// Send a reference photo: its name in the chain. Throws where it must show a face and does not.
export const addFile = async (blob, face) => {
  const told = await upload(blob, blob.name);
  if (face && !told.faces.some((each) => each.left_out === null)) {
    forget(`/photos/${told.id}`);
    throw new Error(say("noFaceInFile", told.name));
  }
  const [stem, suffix] = [told.name.replace(/\.[^.]*$/, ""), told.name.match(/\.[^.]*$/)?.[0] ?? ""];
  let name = told.name;
  for (let number = 2; name in state.files; number += 1) name = `${stem}-${number}${suffix}`;
  state.files[name] = { id: told.id, name, blob, shown: URL.createObjectURL(await shownOf(told.id)) };
  keep(`file ${name}`, blob);
  return name;
};

// what survives

let saving = 0;
export const save = () => {
  clearTimeout(saving);
  saving = setTimeout(() => keep("state", {
    chain: state.chain,
    current: state.current,
    photos: state.photos.filter((photo) => photo.faces).map(({ key, name, id, size, faces, rule, made }) => ({ key, name, id, size, faces, rule, made })),
    files: Object.keys(state.files),
  }), 300);
};

const recalled = async () => {
  const kept = await recall("state");
  if (!kept) return false;
  for (const photo of kept.photos) {
    const blob = await recall(`photo ${photo.key}`);
    if (blob) state.photos.push({ ...photo, blob, shown: DISPLAYED.test(blob.type) ? URL.createObjectURL(blob) : null, thumbs: {}, sending: null, error: "" });
  }
  for (const name of kept.files) {
    const blob = await recall(`file ${name}`);
    if (blob) state.files[name] = { id: null, name, blob, shown: URL.createObjectURL(blob) };
  }
  state.current = state.photos.some((photo) => photo.key === kept.current) ? kept.current : state.photos[0]?.key ?? null;
  const known = kept.chain.stages.every((stage) => stage.name in state.stages);
  if (known) state.chain = kept.chain;
  for (const photo of state.photos) if (photo.made) check(photo);
  return known;
};

// A result of before the reload is offered only if the server still has it.
const check = async (photo) => {
  try { await ask(`/jobs/${photo.made.job.id}`); } catch { photo.made = null; photo.expired = true; changed(); }
};

export const startOver = async () => {
  for (const photo of state.photos) {
    if (photo.id) forget(`/photos/${photo.id}`);
    if (photo.made) forget(`/jobs/${photo.made.job.id}`);
  }
  if (state.video?.id) forget(`/videos/${state.video.id}`);
  if (state.video?.made) forget(`/jobs/${state.video.made.job.id}`);
  await clear();
  set({ video: null, photos: [], current: null, files: {}, past: [], future: [] });
  choosePreset(state.presets[0].name);
};

export const start = async () => {
  const [stages, schema, presets, limits] = await Promise.all(["/stages", "/schema", "/chains", "/limits"].map((address) => ask(address)));
  const first = ["portrait", "webtoon", "retouch"];
  const rank = ({ name }) => (first.indexOf(name) + 1) || 9;
  Object.assign(state, {
    stages: Object.fromEntries(stages.map((stage) => [stage.name, stage])),
    output: schema.$defs.Output.properties,
    presets: presets.toSorted((a, b) => rank(a) - rank(b)),
    limits,
  });
  const text = chains.linked(location.hash);
  if (!(await recalled()) || !state.chain.stages.length) state.chain = chains.chainOf(state.presets[0].chain, state.presets[0].name);
  set({ ready: true });
  describe();
  if (text) {
    history.replaceState(null, "", location.pathname);
    await open(text);
  }
};
