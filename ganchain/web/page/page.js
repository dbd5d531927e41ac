// The page: its parts, the keyboard, and what is dropped or pasted anywhere.

import { html, render, useEffect, useState } from "./vendor/preact.js";
import { Dialogs } from "./dialogs.js";
import { draw } from "./drawing.js";
import { download } from "./making.js";
import { Panel } from "./panel.js";
import { Result, view } from "./result.js";
import * as store from "./store.js";
import { chooseLanguage, LANGUAGES, say } from "./texts.js";
import { addFiles, drawStills } from "./video.js";

const { state } = store;
const YAML = /\.(ya?ml|json)$/i;
const LINKS = [["/live.html", "live"]]; // other pages: address, key of the text
let hold = () => {}; // shows the photo before while a key is held

const take = async (files) => {
  const texts = files.filter((file) => YAML.test(file.name));
  if (texts.length) store.open(await texts[0].text());
  addFiles(files.filter((file) => !YAML.test(file.name)));
};

const next = (by) => {
  const at = state.photos.findIndex((photo) => photo.key === state.current);
  if (state.photos[at + by]) store.set({ current: state.photos[at + by].key });
};

const KEYS = {
  "?": () => store.set({ dialog: "help" }),
  "+": () => view.in?.(),
  "=": () => view.in?.(),
  "-": () => view.out?.(),
  0: () => view.fit?.(),
  1: () => view.full?.(),
  b: () => hold(true),
  "[": () => next(-1),
  "]": () => next(1),
};
const WITH_CTRL = { z: store.undo, y: store.redo, s: () => store.current() && download() };

const pressed = (event) => {
  if (event.altKey || state.dialog) return;
  const typing = event.target.closest?.("input:is([type=text], [type=number]), textarea, select");
  const ctrl = event.ctrlKey || event.metaKey;
  if (typing && !(ctrl && event.key.toLowerCase() === "s")) return;
  const act = ctrl ? (event.shiftKey && event.key.toLowerCase() === "z" ? store.redo : WITH_CTRL[event.key.toLowerCase()]) : KEYS[event.key.length === 1 ? event.key.toLowerCase() : ""];
  if (!act) return;
  event.preventDefault();
  act();
};

document.addEventListener("keydown", pressed);
document.addEventListener("keyup", (event) => event.key.toLowerCase() === "b" && hold(false));
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  take([...event.dataTransfer.files]);
});
document.addEventListener("paste", (event) => {
  if (event.target.closest?.("input, textarea")) return;
  const files = [...(event.clipboardData?.files ?? [])];
  const text = event.clipboardData?.getData("text/plain") ?? "";
  if (files.length) take(files);
  else if (/\bstages\b/.test(text)) store.open(text);
});
window.addEventListener("beforeunload", (event) => { if (state.run || state.video?.job || state.photos.some((photo) => photo.sending != null)) event.preventDefault(); });

const Head = () => html`<header><h1><img src="/icon.svg" alt="" width="28" height="28" /> ganchain</h1><p>${say("about")}</p>
  <nav>
    ${LINKS.map(([address, key]) => html`<a class="button" href=${address}>${say(key)}</a>`)}
    <label class="language"><span class="hidden">${say("language")}</span><select value=${state.lang} onchange=${(event) => {
      chooseLanguage(event.target.value);
      store.set({ lang: event.target.value });
    }}>${Object.entries(LANGUAGES).map(([code, name]) => html`<option value=${code} lang=${code}>${name}</option>`)}</select></label>
    <button type="button" class="icon" aria-label=${say("help")} title=${say("help")} onclick=${() => store.set({ dialog: "help" })}>?</button>
  </nav></header>`;

const Page = () => {
  const [, again] = useState(0);
  const [held, setHeld] = useState(false);
  useEffect(() => {
    hold = setHeld;
    store.listen(() => again((count) => count + 1));
    store.listen(draw);
    store.listen(drawStills);
  }, []);
  return html`<${Head} /><main>${state.ready ? html`<${Panel} />` : html`<div class="panel"></div>`}<${Result} held=${held} /></main><${Dialogs} />`;
};

render(html`<${Page} />`, document.getElementById("page"));
store.start().catch((error) => store.set({ error: error.unreachable ? say("unreachable") : error.message }));
