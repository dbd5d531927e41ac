// Controls made from the schema: one for each option of a stage, or of the output.

import { html, useState } from "./vendor/preact.js";
import { kindOf } from "./chain.js";
import { addFile, state } from "./store.js";
import { nameOf, say } from "./texts.js";

const HEX = /^#[0-9a-f]{6}$/i;
const MANY = 14; // words that are buttons; more are a list

const Words = ({ id, name, kind, value, set }) => {
  const now = value ?? kind.usual;
  const words = kind.usual === null ? [null, ...kind.words] : kind.words;
  const label = (word) => (word === null ? say("usual") : nameOf("value", word));
  if (words.length > MANY) {
    return html`<select id=${id} value=${String(now)} onchange=${(event) => set(words[event.target.selectedIndex] ?? undefined)}>
      ${words.map((word) => html`<option value=${String(word)}>${label(word)}</option>`)}
    </select>`;
  }
  return html`<div class="chips" role="radiogroup" aria-labelledby=${`${id}-name`} id=${id}>
    ${words.map((word) => html`<label class="chip"><input type="radio" name=${id} value=${String(word)} checked=${now === word}
      onchange=${() => set(word ?? undefined)} /><span>${label(word)}</span></label>`)}
  </div>`;
};

const Range = ({ id, name, kind, value, set, labelled }) => {
  const { minimum, maximum, whole } = kind.number;
  const usual = typeof kind.usual === "number" ? kind.usual : null;
  const now = typeof value === "number" ? value : usual;
  const text = now === null ? say("usual") : String(Math.round(now * 100) / 100);
  const step = whole ? 1 : (maximum - minimum) / 50;
  return html`<input type="range" id=${id} min=${minimum} max=${maximum} step=${step} value=${now ?? (minimum + maximum) / 2}
      aria-label=${labelled ? say("amountOf", name) : undefined} aria-valuetext=${text} class=${now === null ? "unset" : ""}
      oninput=${(event) => set(Number(event.target.value))} />
    <output for=${id}>${text}</output>`;
};

const Swatch = ({ id, name, value, set }) => html`<input type="color" id=${id} aria-label=${say("colourOf", name)} title=${say("colourOf", name)}
  class=${HEX.test(value) ? "" : "unset"} value=${HEX.test(value) ? value : "#b03a4a"} oninput=${(event) => set(event.target.value)} />`;

const NumberBox = ({ id, kind, value, set }) => html`<input type="number" id=${id} min=${kind.number.minimum} max=${kind.number.maximum}
  step=${kind.number.whole ? 1 : "any"} placeholder=${say("usual")} value=${value ?? kind.usual ?? ""}
  onchange=${(event) => event.target.reportValidity() && set(event.target.value === "" ? undefined : Number(event.target.value))} />`;

const File = ({ id, name, shape, value, set }) => {
  const [told, tell] = useState("");
  const file = state.files[value];
  const take = async (event) => {
    const [picked] = event.target.files;
    if (!picked) return;
    event.target.value = "";
    tell("…");
    try {
      set(await addFile(picked, shape.face));
      tell("");
    } catch (error) { tell(error.unreachable ? say("unreachable") : error.message); }
  };
  return html`<label class=${`file ${file ? "has" : ""}`}>
      ${file && html`<img src=${file.shown} alt=${value} />`}<input type="file" id=${id} accept="image/*" onchange=${take} aria-describedby=${`${id}-told`} />
      <span>${value ?? say("photoFile")}</span>
    </label>
    ${value && html`<button type="button" class="icon" onclick=${() => set(undefined)} aria-label=${say("noPhotoFile", name)}>✕</button>`}
    <span class="told" id=${`${id}-told`} role="status">${told}</span>`;
};

const Keys = ({ id, kind, value, set }) => html`<select id=${id} value=${value ?? ""} onchange=${(event) => set(event.target.value || undefined)}>
  ${(kind.usual === null || !kind.keys.includes(kind.usual)) && html`<option value="">${say("bundled")}</option>`}
  ${kind.keys.map((key) => html`<option value=${key}>${key}</option>`)}
</select>`;

const Switch = ({ id, kind, value, set }) => html`<input type="checkbox" role="switch" id=${id} checked=${value ?? kind.usual ?? false}
  onchange=${(event) => set(event.target.checked)} />`;

const Text = ({ id, kind, value, set }) => html`<input type="text" id=${id} maxlength=${kind.longest} value=${value ?? kind.usual ?? ""}
  onchange=${(event) => set(event.target.value || undefined)} />`;

// The controls that a kind needs, in one row.
const parts = (kind, all) => {
  const bounded = kind.number && "minimum" in kind.number && "maximum" in kind.number && !(kind.number.whole && kind.number.maximum - kind.number.minimum > 100);
  const shown = [];
  const second = (suffix) => (shown.length ? { ...all, id: `${all.id}-${suffix}`, labelled: true } : all);
  if (kind.keys) shown.push(html`<${Keys} ...${all} />`);
  else if (kind.toggle) shown.push(html`<${Switch} ...${all} />`);
  if (kind.words.length) shown.push(html`<${Words} ...${all} />`);
  if (bounded) shown.push(html`<${Range} ...${second("amount")} />`);
  else if (kind.number) shown.push(html`<${NumberBox} ...${second("number")} />`);
  if (kind.colour) shown.push(html`<${Swatch} ...${second("colour")} />`);
  if (kind.file && !kind.words.length) shown.push(html`<${File} ...${all} />`);
  if (!shown.length) shown.push(html`<${Text} ...${all} />`);
  return shown;
};

export const Control = ({ id, option, shape, options, set, problem, explained }) => {
  const kind = kindOf(shape, options);
  const value = options[option];
  const name = nameOf("option", option);
  const all = { id, name, kind, shape, value, set };
  const resets = value !== undefined && (kind.number || kind.colour) && !kind.toggle;
  return html`<div class=${`option ${problem ? "wrong" : ""}`} data-option=${option} title=${shape.description ?? ""}>
    <label id=${`${id}-name`} for=${id}>${name}</label>
    <div class="control">${parts(kind, all)}
      ${resets && html`<button type="button" class="icon" onclick=${() => set(undefined)} aria-label=${say("reset", name)} title=${say("usual")}>↺</button>`}
    </div>
    ${explained && shape.description && html`<p class="quiet">${shape.description}</p>`}
    ${problem && html`<p class="error" role="alert" id=${`${id}-wrong`}>${problem}</p>`}
  </div>`;
};
