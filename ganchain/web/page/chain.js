// The chain: a form made from the options of the stages, and the chain's YAML.

export const element = (tag, properties = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
};

const OWN = "my-chain";
const OUTPUT = ["format", "write", "location"]; // the options of the output that the form has

// The values of an option that the weights decide on; undefined if they do not.
const offered = (shape, values) => shape.choices?.[values.weights ?? ""];

// Choose the control for a JSON schema, of which null is left out: {kind, ...}
const kindOf = (shape, values) => {
  if (offered(shape, values)) return { kind: "choice", values: offered(shape, values) };
  const parts = (shape.anyOf ?? [shape]).flatMap((part) => part.anyOf ?? [part]).filter((part) => part.type !== "null");
  const has = (format) => parts.some((part) => part.format === format);
  const number = parts.find((part) => part.type === "number" || part.type === "integer");
  if (has("colour") && number) return { kind: "region", ...number };
  if (has("path")) return { kind: "file" };
  if (has("weights")) return { kind: "weights", keys: shape.keys ?? [] };
  const words = parts.flatMap((part) => part.enum ?? ("const" in part ? [part.const] : []));
  if (words.length) return { kind: "choice", values: words };
  if (parts.some((part) => part.type === "boolean")) return { kind: "switch" };
  if (number && "minimum" in number && "maximum" in number && number.type === "number") return { ...number, kind: "range" };
  if (number) return { ...number, kind: "number" };
  return { kind: "text" };
};

const summary = (options) => {
  const set = Object.entries(options).map(([name, value]) => `${name.replaceAll("_", " ")}: ${value}`);
  return set.join(" · ") || "as usual";
};

export class Chain extends EventTarget {
  constructor(stages, schema, bundled, upload, forget) {
    super();
    this.known = Object.fromEntries(stages.map((stage) => [stage.name, stage]));
    this.outputShapes = Object.fromEntries(OUTPUT.map((option) => [option, schema.$defs.Output.properties[option]]));
    this.bundled = bundled;
    this.upload = upload; // sends a file: promise of {id, name, faces}
    this.forget = forget; // has an address deleted
    this.files = {}; // name in the chain: id
    this.list = document.getElementById("stages");
    this.names = document.getElementById("bundled");
    this.names.append(...bundled.map((chain) => new Option(chain.name)));
    this.names.append(new Option("a chain of your own", OWN));
    document.getElementById("add-name").append(...stages.map((stage) => new Option(stage.name)));
    this.names.addEventListener("change", () => this.begin(this.names.value));
    document.getElementById("add").addEventListener("click", () => this.add(document.getElementById("add-name").value));
    this.begin(bundled.some((chain) => chain.name === "portrait") ? "portrait" : bundled[0].name);
  }

  begin(name) {
    const bundled = this.bundled.find((entry) => entry.name === name);
    const chain = structuredClone(bundled?.chain ?? { stages: [] });
    this.name = bundled ? name : OWN;
    this.faces = chain.faces ?? "all";
    this.stages = chain.stages.map((stage) => {
      const [key, options] = Object.entries(stage)[0];
      return { name: key, options: options ?? {} };
    });
    this.output = chain.output ?? {};
    document.getElementById("about").textContent = bundled?.about ?? "";
    this.names.value = this.name;
    this.render();
    this.changed(false);
  }

  changed(own = true) {
    if (own && this.name !== OWN) {
      document.getElementById("about").textContent = `Began as ${this.name}.`;
      this.name = OWN;
      this.names.value = OWN;
    }
    this.dispatchEvent(new Event("change"));
  }

  // The chain as the server takes it: a bundled one by its name, else as JSON, which is YAML.
  get text() {
    const bundled = this.bundled.find((entry) => entry.name === this.name);
    if (bundled) return bundled.name;
    const chain = { faces: this.faces, stages: this.stages.map(({ name, options }) => ({ [name]: options })) };
    if (Object.keys(this.output).length) chain.output = this.output;
    return JSON.stringify(chain);
  }

  setFaces(faces) {
    if (JSON.stringify(faces) === JSON.stringify(this.faces)) return;
    this.faces = faces;
    this.changed();
  }

  add(name) {
    this.stages.push({ name, options: {}, open: true });
    this.render();
    this.changed();
    this.list.lastElementChild.querySelector("summary").focus();
  }

  move(index, by) {
    const [stage] = this.stages.splice(index, 1);
    if (by) this.stages.splice(index + by, 0, stage);
    this.render();
    this.changed();
    const next = this.list.children[Math.min(index + by, this.stages.length - 1)];
    const sameButton = next?.querySelector(by > 0 ? ".down:enabled" : by < 0 ? ".up:enabled" : ".remove");
    (sameButton ?? next?.querySelector("button:enabled") ?? document.getElementById("add")).focus();
  }

  render() {
    this.list.replaceChildren(...this.stages.map((stage, index) => this.card(stage, index)));
    const output = document.getElementById("output");
    output.replaceChildren(...this.controls(this.outputShapes, this.output, "output"));
  }

  card(stage, index) {
    const known = this.known[stage.name];
    const button = (kind, sign, label, by, disabled) =>
      element("button", {
        type: "button", className: `small ${kind}`, textContent: sign, "aria-label": `${label} ${stage.name}`, disabled,
        onclick: () => this.move(index, by),
      });
    const head = element(
      "div", { className: "stage-head" },
      element("h3", { textContent: `${index + 1} · ${stage.name}` }),
      button("up", "↑", "Move up", -1, index === 0),
      button("down", "↓", "Move down", 1, index === this.stages.length - 1),
      button("remove", "✕", "Remove", 0, false),
    );
    const set = element("p", { className: "set", textContent: summary(stage.options) });
    const part = (rare) => {
      const shapes = Object.fromEntries(Object.entries(known.options).filter(([, shape]) => Boolean(shape.rare) === rare));
      const update = (option) => {
        if (option === "weights") this.refit(stage, known, index);
        set.textContent = summary(stage.options);
      };
      const controls = this.controls(shapes, stage.options, `stage-${index}`, known.alternatives, update);
      return element("div", { className: "options" }, ...controls);
    };
    const options = element(
      "details", { open: stage.open ?? false, ontoggle: () => { stage.open = options.open; } },
      element("summary", { textContent: "Options", "aria-label": `Options of ${stage.name}` }),
      element("p", { className: "quiet", textContent: known.about }), part(false),
    );
    if (Object.values(known.options).some((shape) => shape.rare)) {
      const rare = element(
        "details", { open: stage.rare ?? false, ontoggle: () => { stage.rare = rare.open; } },
        element("summary", { textContent: "Other weights" }), part(true),
      );
      options.append(rare);
    }
    return element("li", { className: "stage" }, head, set, options);
  }

  // Take back the values that other weights do not have, and offer theirs.
  refit(stage, known, index) {
    for (const [option, shape] of Object.entries(known.options)) {
      if (shape.choices && !(offered(shape, stage.options) ?? []).includes(stage.options[option])) delete stage.options[option];
    }
    Object.assign(stage, { open: true, rare: true });
    this.render();
    document.getElementById(`stage-${index}-weights`)?.focus();
  }

  // Show each problem, {key, reason}, at its control; returns the reasons of those that have none.
  mark(problems) {
    for (const place of document.querySelectorAll(".option > .wrong")) this.unmark(place);
    return problems.filter(({ key, reason }) => {
      const [, index, option] = key.match(/^stages\[(\d+)\]\..+\.([^.]+)$/) ?? [];
      const id = index === undefined ? key.replace(/^output\./, "output-") : `stage-${index}-${option}`;
      const place = document.getElementById(`${id}-wrong`);
      if (!place) return true;
      place.textContent = reason;
      place.hidden = false;
      document.getElementById(id)?.setAttribute("aria-invalid", "true");
      return false;
    }).map(({ reason }) => reason);
  }

  unmark(place) {
    place.hidden = true;
    place.textContent = "";
    place.parentElement.querySelector('[aria-invalid="true"]')?.removeAttribute("aria-invalid");
  }

  // Go to the first control that is marked; returns false if none is.
  jump() {
    const place = document.querySelector(".option > .wrong:not([hidden])");
    if (!place) return false;
    for (let around = place.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
    place.parentElement.querySelector('[aria-invalid="true"]')?.focus({ preventScroll: true });
    place.parentElement.scrollIntoView({ block: "center", behavior: "smooth" });
    return true;
  }

  // alternatives: groups of options of which only one can be set; setting one clears the others.
  controls(shapes, values, prefix, alternatives = [], update = () => {}) {
    return Object.entries(shapes).map(([option, shape]) => {
      const id = `${prefix}-${option}`;
      const set = (value) => {
        if (value === undefined || value === shape.default) delete values[option];
        else values[option] = value;
        const groups = value === undefined ? [] : alternatives.filter((group) => group.includes(option));
        const others = groups.flat().filter((other) => other !== option && values[other] !== undefined);
        if (others.length) {
          for (const other of others) delete values[other];
          this.render();
          document.getElementById(id)?.focus();
        }
        this.unmark(wrong);
        update(option);
        this.changed();
      };
      const wrong = element("p", { className: "wrong error", id: `${id}-wrong`, role: "alert", hidden: true });
      const control = element("div", { className: "control" });
      control.append(...this.control(kindOf(shape, values), shape, values[option], set, id));
      const help = element("div", { className: "help", id: `${id}-help`, textContent: shape.description ?? "" });
      control.querySelector(`[id="${id}"]`)?.setAttribute("aria-describedby", `${wrong.id} ${help.id}`);
      return element(
        "div", { className: "option" }, element("label", { className: "name", htmlFor: id, textContent: option.replaceAll("_", " ") }),
        control, wrong, help,
      );
    });
  }

  control(kind, shape, value, set, id) {
    switch (kind.kind) {
      case "choice": {
        const select = element("select", { id, onchange: () => set(select.value === "" ? undefined : kind.values.find((choice) => String(choice) === select.value)) });
        if (shape.default == null) select.append(new Option("as usual", ""));
        select.append(...kind.values.map((choice) => new Option(String(choice))));
        select.value = value ?? shape.default ?? "";
        return [select];
      }
      case "weights": {
        const select = element("select", { id, onchange: () => set(select.value || undefined) }, new Option("bundled", ""));
        select.append(...kind.keys.map((key) => new Option(key)));
        select.value = value ?? "";
        return [select];
      }
      case "switch": {
        const box = element("input", { type: "checkbox", id, checked: value ?? shape.default ?? false, onchange: () => set(box.checked) });
        return [box];
      }
      case "range": return this.range(kind, shape.default, value, set, id);
      case "region": return this.region(kind, value, set, id);
      case "file": return this.file(shape, value, set, id);
      case "number": {
        const box = element("input", { type: "number", id, placeholder: "as usual", oninput: () => set(box.value === "" ? undefined : Number(box.value)) });
        if ("minimum" in kind) box.min = kind.minimum;
        if ("maximum" in kind) box.max = kind.maximum;
        box.value = value ?? shape.default ?? "";
        return [box];
      }
      default: {
        const box = element("input", { type: "text", id, oninput: () => set(box.value || undefined) });
        box.value = value ?? shape.default ?? "";
        return [box];
      }
    }
  }

  range(kind, usual, value, set, id) {
    const shown = element("output", { htmlFor: id });
    const slide = element("input", { type: "range", id, min: kind.minimum, max: kind.maximum, step: (kind.maximum - kind.minimum) / 20 });
    const reset = element("button", { type: "button", className: "small", textContent: "↺", title: "as usual", "aria-label": `${id.replace(/.*-/, "")} as usual` });
    const show = (number) => {
      slide.value = number ?? usual ?? (kind.minimum + kind.maximum) / 2;
      shown.textContent = (number ?? usual) == null ? "usual" : String(Math.round((number ?? usual) * 100) / 100);
      slide.setAttribute("aria-valuetext", shown.textContent);
      reset.style.visibility = number === undefined ? "hidden" : "visible";
    };
    slide.oninput = () => { show(Number(slide.value)); set(Number(slide.value)); };
    reset.onclick = () => { show(undefined); set(undefined); slide.focus(); };
    show(value);
    return [slide, shown, reset];
  }

  // The control of a region: as much of it as the look has, an amount of that, or a colour.
  region(kind, value, set, id) {
    const place = element("span", { className: "control" });
    const mode = element("select", { id }, new Option("as the look", ""), new Option("amount", "amount"), new Option("colour", "colour"));
    const show = (setting) => {
      place.replaceChildren();
      if (mode.value === "amount") place.append(...this.range(kind, 1, setting, (amount) => set(amount ?? 1), `${id}-amount`));
      if (mode.value === "colour") {
        const picked = element("input", { type: "color", id: `${id}-colour`, "aria-label": "colour", oninput: () => set(picked.value) });
        picked.value = /^#[0-9a-f]{6}$/i.test(setting) ? setting : "#a02030";
        place.append(picked);
      }
    };
    mode.onchange = () => {
      const setting = { amount: 1, colour: "#a02030" }[mode.value];
      show(setting);
      set(setting);
    };
    mode.value = value === undefined ? "" : typeof value === "string" ? "colour" : "amount";
    show(value);
    return [mode, place];
  }

  // Phones give all pictures the same name, so it gets a number: image.jpg, then image-2.jpg.
  freeName({ id, name }) {
    const [stem, suffix] = [name.replace(/\.[^.]*$/, ""), name.match(/\.[^.]*$/)?.[0] ?? ""];
    let free = name;
    for (let number = 2; (this.files[free] ?? id) !== id; number += 1) free = `${stem}-${number}${suffix}`;
    return free;
  }

  file(shape, value, set, id) {
    const status = element("span", { className: "quiet", role: "status", textContent: value ?? "" });
    const input = element("input", { type: "file", id, accept: "image/*" });
    const clear = element("button", { type: "button", className: "small", textContent: "✕", "aria-label": "No file", hidden: !value });
    input.onchange = async () => {
      const [file] = input.files;
      if (!file) return;
      status.classList.remove("error");
      status.textContent = `sending ${file.name} …`;
      try {
        const sent = await this.upload(file);
        if (shape.face && !sent.faces.some((face) => face.left_out === null)) {
          this.forget(`/photos/${sent.id}`);
          throw new Error(`${sent.name}: no face was found in it, and one is needed; choose another photo`);
        }
        const name = this.freeName(sent);
        this.files[name] = sent.id;
        status.textContent = name;
        clear.hidden = false;
        set(name);
      } catch (error) {
        input.value = "";
        clear.hidden = true;
        status.textContent = error.message;
        status.classList.add("error");
        set(undefined);
      }
    };
    clear.onclick = () => { input.value = ""; status.textContent = ""; status.classList.remove("error"); clear.hidden = true; set(undefined); };
    return [input, status, clear];
  }
}
