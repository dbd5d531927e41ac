// <before-after at="50"><img slot="before" alt="…"><img slot="after" alt="…"></before-after>
// Two pictures of one size over each other; the line between them is moved by pointer, touch or keyboard.
// Styles are adopted and set through the object model only, so that it works without 'unsafe-inline'.

const look = new CSSStyleSheet();
look.replaceSync(`
  :host { display: block; position: relative; overflow: hidden; max-width: 100%; direction: ltr; cursor: ew-resize;
          touch-action: pan-y; user-select: none; -webkit-user-select: none; }
  :host([hidden]) { display: none; }
  .side { display: block; }
  .before { position: relative; clip-path: inset(0 calc(100% - var(--at)) 0 0); }
  .after { position: absolute; inset: 0; clip-path: inset(0 0 0 var(--at)); }
  ::slotted(img) { display: block; width: 100%; height: auto; pointer-events: none; }
  .after ::slotted(img) { height: 100%; object-fit: cover; }
  .label { position: absolute; bottom: .6em; padding: .15em .55em; border-radius: 1em; pointer-events: none;
           font: 500 .8rem/1.4 system-ui, sans-serif; color: #fff; background: rgb(0 0 0 / .6); }
  .before .label { left: .6em; }
  .after .label { right: .6em; }
  .handle { position: absolute; top: 0; bottom: 0; left: var(--at); width: 2.75rem; margin-left: -1.375rem;
            outline: none; background: linear-gradient(#fff, #fff) center / 2px 100% no-repeat; }
  .handle::after { content: "◂ ▸"; position: absolute; left: 50%; top: 50%; width: 2.5rem; height: 2.5rem;
                   transform: translate(-50%, -50%); border-radius: 50%; background: #fff; color: #222;
                   font: 1rem/2.5rem system-ui, sans-serif; text-align: center; box-shadow: 0 1px 5px rgb(0 0 0 / .45); }
  .handle:focus-visible::after { outline: 3px solid #1a6dff; outline-offset: 2px; }
  @media (forced-colors: active) { .handle::after { border: 2px solid ButtonText; } }
`);

const STEPS = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };

function made(kind, properties, ...children) {
  const element = Object.assign(document.createElement(kind), properties);
  element.append(...children);
  return element;
}

class BeforeAfter extends HTMLElement {
  static observedAttributes = ["at"];

  constructor() {
    super();
    const shadow = this.attachShadow({ mode: "open" });
    shadow.adoptedStyleSheets = [look];
    this.handle = made("div", { className: "handle", tabIndex: 0, role: "slider", ariaOrientation: "horizontal",
      ariaLabel: "Share of the picture before", ariaValueMin: "0", ariaValueMax: "100" });
    for (const name of ["before", "after"]) {
      const label = made("span", { className: "label", textContent: name });
      label.setAttribute("aria-hidden", "true");
      shadow.append(made("div", { className: `side ${name}` }, made("slot", { name }), label));
    }
    shadow.append(this.handle);
    this.handle.addEventListener("keydown", (event) => this.#step(event));
    this.addEventListener("pointerdown", (event) => this.#grab(event));
    this.addEventListener("pointermove", (event) => this.hasPointerCapture(event.pointerId) && this.#follow(event));
    this.#show();
  }

  /** Where the line stands: 0 shows only the picture after, 100 only the one before. */
  get at() {
    const at = Number.parseFloat(this.getAttribute("at") ?? "50");
    return Number.isFinite(at) ? Math.min(100, Math.max(0, at)) : 50;
  }

  set at(value) {
    this.setAttribute("at", Math.round(Math.min(100, Math.max(0, value)) * 10) / 10);
    this.dispatchEvent(new Event("input", { bubbles: true }));
  }

  attributeChangedCallback() {
    this.#show();
  }

  #show() {
    for (const part of this.shadowRoot.children) part.style.setProperty("--at", `${this.at}%`);
    this.handle.ariaValueNow = String(Math.round(this.at));
    this.handle.ariaValueText = `${Math.round(this.at)} % before`;
  }

  #step(event) {
    const step = STEPS[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.at += step;
  }

  #grab(event) {
    if (event.button !== 0) return;
    this.setPointerCapture(event.pointerId);
    this.handle.focus({ preventScroll: true });
    this.#follow(event);
  }

  #follow(event) {
    const box = this.getBoundingClientRect();
    this.at = (100 * (event.clientX - box.left)) / box.width;
  }
}

customElements.define("before-after", BeforeAfter);
