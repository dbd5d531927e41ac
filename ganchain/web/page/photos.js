// The photos: they are sent, and shown with their faces; one of them is current.

import { element } from "./chain.js";

// Ask the server for JSON; throws an error with the server's reason, and the wrong values of the chain, if it refuses.
export const ask = async (address, options) => {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw Object.assign(new Error("the server cannot be reached"), { unreachable: true });
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  let said = {};
  try { said = await answer.json(); } catch { /* the answer is no JSON: the status is all there is */ }
  throw Object.assign(new Error(said.error ?? `the server answered ${answer.status}`), { problems: said.problems ?? [] });
};

export const upload = async (file) => {
  const form = new FormData();
  form.append("photo", file, file.name);
  return ask("/photos", { method: "POST", body: form });
};

export const forget = (address) => ask(address, { method: "DELETE" }).catch(() => {}); // the server deletes it later by itself

export class Photos extends EventTarget {
  constructor() {
    super();
    this.all = []; // {id, name, size, faces, job}
    this.current = null;
    this.list = document.getElementById("thumbnails");
    this.preview = document.getElementById("preview");
    this.status = document.getElementById("faces-said");
    this.wrong = document.getElementById("photos-wrong");
    const drop = document.getElementById("drop");
    const input = document.getElementById("photo-input");
    const take = () => { this.add([...input.files]); input.value = ""; };
    input.addEventListener("change", take);
    if (input.files.length) setTimeout(take); // photos that were chosen before this script was loaded
    for (const name of ["dragenter", "dragover"]) {
      drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
    }
    for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
    for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
    document.addEventListener("drop", (event) => this.add([...event.dataTransfer.files]));
    document.addEventListener("paste", (event) => this.add([...(event.clipboardData?.files ?? [])]));
  }

  async add(files) {
    const wrong = [];
    this.wrong.hidden = true;
    for (const [index, file] of files.entries()) {
      this.status.textContent = files.length > 1 ? `Sending ${index + 1} of ${files.length} …` : `Sending ${file.name} …`;
      try {
        const photo = await upload(file);
        this.all.push({ ...photo, job: null, state: "" });
        this.show(this.all.at(-1));
      } catch (error) {
        wrong.push(error.message.startsWith(file.name) ? error.message : `${file.name}: ${error.message}`);
      }
    }
    if (!files.length) return;
    this.render();
    this.wrong.textContent = wrong.join("\n");
    this.wrong.hidden = !wrong.length;
  }

  remove(photo) {
    photo.cancelled = true;
    forget(`/photos/${photo.id}`);
    if (photo.job?.id) forget(`/jobs/${photo.job.id}`);
    this.all = this.all.filter((other) => other !== photo);
    if (this.current === photo) this.show(this.all[0] ?? null);
    this.render();
    document.getElementById("photo-input").focus();
  }

  show(photo) {
    this.current = photo;
    this.render();
    this.dispatchEvent(new Event("show"));
  }

  // Mark the faces that the chain edits; faces: "all", "largest", "best" or numbers, as in the chain.
  mark(faces) {
    this.rule = faces;
    for (const box of this.preview.querySelectorAll("button.face:not(.left-out)")) {
      box.setAttribute("aria-pressed", String(this.chosen(Number(box.dataset.number))));
    }
  }

  chosen(number) {
    if (Array.isArray(this.rule)) return this.rule.includes(number);
    if (this.rule !== "largest" && this.rule !== "best") return true;
    const side = ({ box: [left, top, right, bottom] }) => Math.max(right - left, bottom - top);
    const better = (a, b) => (this.rule === "largest" && side(a) - side(b)) || a.score - b.score;
    const usable = this.current.faces.filter((face) => face.number !== null);
    return usable.reduce((best, face) => (better(face, best) > 0 ? face : best)).number === number;
  }

  render() {
    this.list.replaceChildren(...this.all.map((photo) => this.thumbnail(photo)));
    const photo = this.current;
    this.preview.hidden = !photo;
    this.preview.replaceChildren();
    if (!photo) {
      this.status.textContent = "";
      return;
    }
    this.preview.append(element("img", { src: `/photos/${photo.id}/preview`, alt: photo.name }));
    const usable = photo.faces.filter((face) => face.number !== null);
    const within = ({ box: [left, top, right, bottom] }) => left < photo.size[0] && top < photo.size[1] && right > 0 && bottom > 0;
    for (const face of photo.faces.filter(within)) this.preview.append(this.box(photo, face));
    const left = photo.faces.length - usable.length;
    const found = usable.length === 1 ? "1 face" : `${usable.length} faces`;
    const also = left ? ` (${left} more left out: too small or too doubtful)` : "";
    this.status.textContent = usable.length
      ? `${photo.name}: ${found} found${also}.${usable.length > 1 ? " Press the numbers to choose." : ""}`
      : `${photo.name}: no face found${also}. Only stages for the whole photo change it.`;
    this.mark(this.rule);
  }

  thumbnail(photo) {
    const item = element(
      "div", { className: "thumbnail" },
      element(
        "button", { type: "button", className: "pick", "aria-label": `Show ${photo.name}`, title: photo.name, onclick: () => this.show(photo) },
        element("img", { src: `/photos/${photo.id}/preview`, alt: "" }),
      ),
      element("button", { type: "button", className: "remove", textContent: "✕", "aria-label": `Remove ${photo.name}`, onclick: () => this.remove(photo) }),
    );
    if (photo.state) item.append(element("span", { className: "state", textContent: photo.state }));
    if (photo === this.current) item.setAttribute("aria-current", "true");
    return item;
  }

  box(photo, face) {
    const [width, height] = photo.size;
    const [left, top, right, bottom] = [
      Math.max(0, face.box[0] / width), Math.max(0, face.box[1] / height),
      Math.min(1, face.box[2] / width), Math.min(1, face.box[3] / height),
    ];
    const usable = face.number !== null;
    const button = element("button", {
      type: "button", className: `face${usable ? "" : " left-out"}${top < 0.08 ? " high" : ""}`, disabled: !usable,
      title: usable ? `face ${face.number}, score ${face.score}` : `left out: ${face.left_out}`,
      "aria-label": usable ? `Face ${face.number}` : `Left out: ${face.left_out}`,
    });
    button.style.left = `${left * 100}%`;
    button.style.top = `${top * 100}%`;
    button.style.width = `${(right - left) * 100}%`;
    button.style.height = `${(bottom - top) * 100}%`;
    if (usable) {
      button.dataset.number = face.number;
      button.append(element("span", { textContent: face.number }));
      button.onclick = () => this.choose(face.number);
    }
    return button;
  }

  choose(number) {
    const usable = this.current.faces.filter((face) => face.number !== null).map((face) => face.number);
    const chosen = usable.filter((each) => this.chosen(each) !== (each === number));
    const faces = chosen.length === usable.length ? "all" : chosen.length ? chosen : [number];
    this.dispatchEvent(new CustomEvent("choose", { detail: faces }));
  }
}
