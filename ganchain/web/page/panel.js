// The panel: photos and their faces, styles, edits, and what is saved.

import { html, useState } from "./vendor/preact.js";
import { chosen, kindOf, linkOf, usable } from "./chain.js";
import { Control } from "./controls.js";
import { isMade } from "./making.js";
import * as store from "./store.js";
import { nameOf, say } from "./texts.js";
import { addFiles, Video } from "./video.js";

const { state } = store;
export const SAMPLES = ["astronaut", "drawing", "dark", "old"];
const address = (name) => `/samples/${name}.webp`;

export const shownOf = (photo) => photo.shown ?? (photo.id ? `/photos/${photo.id}/preview` : "");

// The style of an element that shows a square around a face, of a picture of the whole photo.
const cropped = (photo, url, face, wide) => {
  const [width, height] = photo.size;
  const box = face?.box ?? [0, 0, width, height];
  const side = Math.min(width, height, Math.max(box[2] - box[0], box[3] - box[1]) * (face ? wide : 1));
  const place = (low, high, whole) => (whole > side ? (100 * Math.min(Math.max((low + high - side) / 2, 0), whole - side)) / (whole - side) : 0);
  return {
    backgroundImage: `url("${url}")`,
    backgroundSize: `${(100 * width) / side}% ${(100 * height) / side}%`,
    backgroundPosition: `${place(box[0], box[2], width)}% ${place(box[1], box[3], height)}%`,
  };
};
export const faceOf = (photo) => usable(photo).find((face) => chosen(photo, face.number)) ?? photo?.faces?.[0];
export const Crop = ({ photo, url, face = faceOf(photo), wide = 1.6 }) => html`<span class="crop checks" style=${cropped(photo, url, face, wide)}></span>`;

// A style that only enlarges shows the face larger.
const wideOf = ({ chain }) => (chain.stages.every((stage) => "factor" in (state.stages[Object.keys(stage)[0]]?.options ?? {})) ? 0.8 : 1.6);

const trySample = async (name) => {
  const blob = await (await fetch(address(name))).blob();
  await store.addPhotos([new File([blob], `${name}.webp`, { type: "image/webp" })]);
};

const Samples = () => html`<div class="samples">
  <p>${say("samples")}</p>
  <div class="row">${SAMPLES.map((name, number) => html`<button type="button" class="tile" onclick=${() => trySample(name)}
    aria-label=${say("sample", number + 1)}><img src=${address(name)} alt="" width="72" height="72" /></button>`)}</div>
</div>`;

const Thumbnail = ({ photo }) => {
  const mark = photo.error ? "!" : photo.sending != null ? `${Math.round(photo.sending * 100)} %` : isMade(photo) ? "✓" : "";
  return html`<div class="thumb">
    <button type="button" class="tile" aria-current=${photo.key === state.current} aria-label=${say("show", photo.name)} title=${photo.name}
      onclick=${() => store.set({ current: photo.key })}>
      ${shownOf(photo) ? html`<img class="checks" src=${shownOf(photo)} alt="" />` : html`<span>${photo.name}</span>`}
    </button>
    <button type="button" class="icon remove" aria-label=${say("remove", photo.name)} onclick=${() => store.removePhoto(photo)}>✕</button>
    ${mark && html`<span class="mark">${mark}</span>`}
  </div>`;
};

const Faces = ({ photo }) => {
  const faces = usable(photo);
  const left = (photo.faces ?? []).filter((face) => face.number === null);
  if (!photo.faces) return html`<p role="status" class="quiet">${photo.error || (photo.sending == null || photo.sending === 1 ? say("reading") : say("sending", photo.name, Math.round(photo.sending * 100)))}</p>`;
  if (!faces.length && !left.length) return html`<p class="quiet" role="status">${say("noFace")}</p>`;
  const rules = ["all", "largest", "best"];
  return html`<div class="faces" role="group" aria-label=${say("faces")}>
    ${!faces.length && html`<p class="quiet" role="status">${say("noFace")}</p>`}
    ${faces.length > 1 && html`<div class="chips">${rules.map((rule) => html`<button type="button" class="chip" aria-pressed=${photo.rule === rule}
      onclick=${() => store.setRule(photo, rule)}>${say(rule === "all" ? "allFaces" : rule)}</button>`)}</div>
      <div class="row">${faces.map((face) => html`<button type="button" class="face" aria-pressed=${chosen(photo, face.number)} aria-label=${say("face", face.number + 1)}
        onclick=${() => store.toggleFace(photo, face.number)}><${Crop} photo=${photo} url=${shownOf(photo)} face=${face} /><span>${face.number + 1}</span></button>`)}</div>`}
    ${left.length > 0 && html`<details class="left-out"><summary>${say("leftOutCount", left.length)}</summary><ul>${left.map((face) => html`<li><${Crop} photo=${photo} url=${shownOf(photo)} face=${face} />
      <span>${say("leftOut", face.left_out)}</span></li>`)}</ul></details>`}
  </div>`;
};

export const kinds = () => `image/*,.tif,.tiff${state.limits.length ? ",video/*,.mkv,.avi" : ""}`;
export const pick = (event) => {
  addFiles([...event.target.files]);
  event.target.value = "";
};

const Photos = () => {
  const photo = store.current();
  return html`<section aria-labelledby="photos-title"><h2 id="photos-title">${say("photos")}</h2>
    <div class="row">
      <label class="choose"><input type="file" id="photo-input" accept=${kinds()} multiple onchange=${pick} />
        <strong>${say("choose")}</strong><span class="hint">${say("chooseHint")}${state.limits.length > 0 && ` · ${say("orVideo")}`}</span></label>
      <button type="button" class="camera" onclick=${() => store.set({ dialog: "camera" })}>${say("camera")}</button>
    </div>
    ${state.photos.length ? html`<div class="thumbs" role="group" aria-label=${say("photos")}>${state.photos.map((each) => html`<${Thumbnail} key=${each.key} photo=${each} />`)}</div>
      <div class="about-faces">${photo && html`<${Faces} photo=${photo} />`}</div>` : html`<${Samples} />`}
  </section>`;
};

const Presets = () => {
  const photo = store.current();
  return html`<section aria-labelledby="presets-title"><h2 id="presets-title">${say("presets")}</h2>
    <div class="presets">${state.presets.map(({ name, about, chain }) => html`<button type="button" class="preset" aria-pressed=${state.chain.preset === name} title=${about}
      onclick=${() => store.choosePreset(name)} data-preset=${name}>
      ${photo?.thumbs[name] ? html`<${Crop} photo=${photo} url=${photo.thumbs[name]} wide=${wideOf({ chain })} />` : html`<span class=${`crop before-${name}`}></span>`}
      <span>${nameOf("preset", name)}</span></button>`)}</div>
  </section>`;
};

const summary = (options) => Object.entries(options)
  .map(([option, value]) => (option === "look" ? nameOf("value", value) : `${nameOf("option", option)} ${typeof value === "object" ? "…" : nameOf("value", value)}`)).join(" · ");

const Stage = ({ stage, index, opened }) => {
  const known = state.stages[stage.name];
  const name = nameOf("stage", stage.name);
  const wrong = Object.fromEntries(state.problems.flatMap(({ key, reason }) => {
    const [, at, option] = key.match(/^stages\[(\d+)\]\..+\.([^.]+)$/) ?? [];
    return Number(at) === index ? [[option, reason]] : [];
  }));
  const [open, setOpen] = useState(opened);
  const [explained, setExplained] = useState(false);
  const control = ([option, shape]) => html`<${Control} key=${option} id=${`${stage.key}-${option}`} option=${option} shape=${shape} options=${stage.options}
    problem=${wrong[option]} explained=${explained} set=${(value) => store.setOption(stage, option, value)} />`;
  const last = ([, shape]) => Number(kindOf(shape).file && !kindOf(shape).words.length); // files come after what is tried at once
  const [rare, usual] = [true, false].map((each) => Object.entries(known.options).filter(([, shape]) => Boolean(shape.rare) === each).sort((a, b) => last(a) - last(b)));
  return html`<li class="edit" data-stage=${stage.name}><details open=${open || Object.keys(wrong).length > 0} ontoggle=${(event) => setOpen(event.target.open)}>
    <summary><strong>${name}</strong> <span class="set">${summary(stage.options)}</span></summary>
    <div class="options">${explained && html`<p class="quiet">${known.about}</p>`}${usual.map(control)}</div>
    ${rare.length > 0 && html`<details class="rare"><summary>${say("more")}</summary><div class="options">${rare.map(control)}</div></details>`}
    <div class="row moves">
      <button type="button" aria-pressed=${explained} onclick=${() => setExplained(!explained)} aria-label=${say("explainStage", name)}>${say("explain")}</button>
      <span class="grow"></span>
      <button type="button" class="icon" aria-label=${say("up", name)} disabled=${index === 0} onclick=${() => store.moveStage(stage, -1)}>↑</button>
      <button type="button" class="icon" aria-label=${say("down", name)} disabled=${index === state.chain.stages.length - 1} onclick=${() => store.moveStage(stage, 1)}>↓</button>
      <button type="button" class="icon" aria-label=${say("removeStage", name)} onclick=${() => store.removeStage(stage)}>✕</button>
    </div>
  </details></li>`;
};

const Edits = () => html`<section aria-labelledby="edits-title"><h2 id="edits-title">${say("edits")}</h2>
  ${!state.chain.stages.length && html`<p class="quiet">${say("empty")}</p>`}
  <ol class="edits">${state.chain.stages.map((stage, index) => html`<${Stage} key=${stage.key} stage=${stage} index=${index} opened=${index === 0} />`)}</ol>
  <div class="chips" role="group" aria-label=${say("add")}>${Object.keys(state.stages).map((name) => html`<button type="button" class="chip" data-add=${name}
    onclick=${() => store.addStage(name)}>+ ${nameOf("stage", name)}</button>`)}</div>
</section>`;

const Copy = ({ text, label }) => {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try { await navigator.clipboard.writeText(text()); } catch {
      const area = Object.assign(document.createElement("textarea"), { value: text() });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return html`<button type="button" onclick=${copy}>${done ? say("copied") : label}</button>`;
};

const saveYaml = () => {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([state.yaml])), download: `${state.chain.preset || "my-chain"}.yaml` });
  link.click();
};

const Share = () => {
  const made = store.current()?.made;
  const openFile = async (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (file) store.open(await file.text());
  };
  return html`<section><details class="share"><summary>${say("output")}</summary><div class="options">
      ${Object.entries(state.output).map(([option, shape]) => html`<${Control} key=${option} id=${`output-${option}`} option=${option} shape=${shape}
        options=${state.chain.output} set=${(value) => store.setOutput(option, value)}
        problem=${state.problems.find(({ key }) => key === `output.${option}`)?.reason} />`)}
    </div></details>
    <details class="share"><summary>${say("share")}</summary>
      <pre tabindex="0" aria-label=${say("yaml")} id="yaml">${state.yaml}</pre>
      <div class="row">
        <${Copy} text=${() => state.yaml} label=${say("copyYaml")} />
        <button type="button" onclick=${saveYaml}>${say("saveYaml")}</button>
        <${Copy} text=${() => linkOf(state.chain)} label=${say("copyLink")} />
        ${made && html`<${Copy} text=${() => made.job.command} label=${say("copyCommand")} />`}
        <label class="button"><input type="file" id="yaml-input" accept=".yaml,.yml,.json" onchange=${openFile} />${say("openYaml")}</label>
        <button type="button" class="danger" onclick=${() => confirm(say("startOverSure")) && store.startOver()}>${say("startOver")}</button>
      </div>
    </details>
    <p class="foot">${say("foot")} <a href="/docs">${say("api")}</a></p>
  </section>`;
};

export const Panel = () => html`<div class="panel"><${Photos} /><${Video} /><${Presets} /><${Edits} /><${Share} /></div>`;
