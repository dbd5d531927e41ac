// The picture before and after: a line between them that is moved, zoom and pan.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact.js";
import { say } from "./texts.js";

const STEPS = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };
const LARGEST = 8; // device px for a px of the picture

export const screen = { side: 640 }; // px of the longest side of a picture that fits the viewer

const bound = (low, value, high) => Math.min(high, Math.max(low, value));

// before, after: addresses; size: width and height in px of the full picture; busy: it is being drawn anew;
// held: show the picture before; start: where the line stands at first, in %
export const Viewer = ({ before, after, size, alt, busy, held, overlay, view, start = 50 }) => {
  const frame = useRef(null);
  const pointers = useRef(new Map());
  const moved = useRef(null);
  const [box, setBox] = useState([1, 1]);
  const [at, setAt] = useState(start);
  const [place, setPlace] = useState({ zoom: 1, x: 0, y: 0 });

  useLayoutEffect(() => {
    const measure = () => setBox([frame.current.clientWidth, frame.current.clientHeight]);
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(frame.current);
    return () => watch.disconnect();
  }, []);
  useEffect(() => {
    setPlace({ zoom: 1, x: 0, y: 0 });
    setAt(start);
  }, [before]);

  const fit = Math.min(box[0] / size[0], box[1] / size[1]); // CSS px for a px of the picture
  const [width, height] = [size[0] * fit, size[1] * fit];
  const full = Math.max(1, 1 / (fit * devicePixelRatio)); // the zoom at which a px is a px
  if (box[0] > 1) screen.side = Math.max(width, height) * Math.min(devicePixelRatio, 2);
  const [left, top] = [(box[0] - width) / 2, (box[1] - height) / 2];

  const settle = ({ zoom, x, y }) => {
    const most = Math.max(full, LARGEST / (fit * devicePixelRatio) / 2, 4);
    const next = bound(1, zoom, most);
    const room = (side, whole) => Math.max(0, (side * next - whole) / 2);
    return { zoom: next, x: bound(-room(width, box[0]), x, room(width, box[0])), y: bound(-room(height, box[1]), y, room(height, box[1])) };
  };
  // Zoom so that what lies at (px, py), from the middle of the frame, stays there.
  const zoomBy = (by, px = 0, py = 0) => setPlace((old) => {
    const zoom = settle({ ...old, zoom: old.zoom * by }).zoom;
    const grown = zoom / old.zoom;
    return settle({ zoom, x: px - (px - old.x) * grown, y: py - (py - old.y) * grown });
  });
  const zoomTo = (zoom, px = 0, py = 0) => zoomBy(zoom / place.zoom, px, py);
  const fromMiddle = (event) => {
    const { left: x, top: y } = frame.current.getBoundingClientRect();
    return [event.clientX - x - box[0] / 2, event.clientY - y - box[1] / 2];
  };
  if (view) Object.assign(view, { in: () => zoomBy(1.5), out: () => zoomBy(1 / 1.5), fit: () => zoomTo(1), full: () => zoomTo(full), move: (by) => setAt((old) => bound(0, old + by, 100)) });

  useEffect(() => { // not passive, since it must not scroll the page
    const wheel = (event) => {
      event.preventDefault();
      zoomBy(Math.exp(-event.deltaY / 400), ...fromMiddle(event));
    };
    frame.current.addEventListener("wheel", wheel, { passive: false });
    return () => frame.current?.removeEventListener("wheel", wheel);
  });

  const follow = (event) => {
    const { left: x } = frame.current.getBoundingClientRect();
    const shown = Math.min(width * place.zoom, box[0]);
    setAt(bound(0, (100 * (event.clientX - x - (box[0] - shown) / 2)) / shown, 100));
  };
  const down = (event) => {
    if (event.button !== 0 || event.target.closest("button")) return;
    frame.current.setPointerCapture(event.pointerId);
    pointers.current.set(event.pointerId, event);
    moved.current = event.target.closest(".handle") || place.zoom === 1 ? "line" : "picture";
    if (moved.current === "line" && pointers.current.size === 1) follow(event);
  };
  const move = (event) => {
    const old = pointers.current.get(event.pointerId);
    if (!old) return;
    const others = [...pointers.current.values()].filter((each) => each.pointerId !== event.pointerId);
    pointers.current.set(event.pointerId, event);
    if (others.length) {
      const far = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
      zoomBy(far(event, others[0]) / Math.max(1, far(old, others[0])), ...fromMiddle(event));
    } else if (moved.current === "line") follow(event);
    else setPlace((now) => settle({ ...now, x: now.x + event.clientX - old.clientX, y: now.y + event.clientY - old.clientY }));
  };
  const up = (event) => pointers.current.delete(event.pointerId);
  const key = (event) => {
    const step = STEPS[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    setAt(bound(0, at + step, 100));
  };

  const style = {
    width: `${width}px`, height: `${height}px`, left: `${left}px`, top: `${top}px`,
    transform: `translate(${place.x}px, ${place.y}px) scale(${place.zoom})`,
  };
  const shown = Math.min(width * place.zoom, box[0]);
  const line = held ? 100 : at;
  const x = (box[0] - shown) / 2 + (shown * line) / 100;
  const sharp = place.zoom * fit * devicePixelRatio > 2.5 ? "pixels" : "";
  return html`
    <div class="viewer" ref=${frame} onpointerdown=${down} onpointermove=${move} onpointerup=${up} onpointercancel=${up}
      ondblclick=${(event) => (place.zoom > 1 ? zoomTo(1) : zoomTo(Math.max(2, full), ...fromMiddle(event)))}
      data-zoomed=${place.zoom > 1} aria-busy=${busy}>
      <div class="layer"><img class=${`checks ${sharp}`} src=${before} alt=${`${alt}, ${say("before")}`} style=${style} draggable=${false} /></div>
      ${after && html`
        <div class="layer over" style=${{ clipPath: `inset(0 0 0 ${x}px)` }}>
          <img class=${`checks ${sharp}`} src=${after} alt=${`${alt}, ${say("after")}`} style=${style} draggable=${false} />
        </div>
        <span class="tag left" aria-hidden="true">${say("before")}</span>
        <span class="tag right" aria-hidden="true">${say("after")}</span>
        <div class="handle" style=${{ left: `${x}px` }} tabindex="0" role="slider" aria-orientation="horizontal" aria-label=${say("divider")}
          aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(line)} aria-valuetext=${say("dividerText", Math.round(line))}
          onkeydown=${key}></div>`}
      ${overlay}
      <div class="zooms" role="group">
        <button type="button" onclick=${() => zoomBy(1 / 1.5)} aria-label=${say("zoomOut")} disabled=${place.zoom <= 1}>−</button>
        <button type="button" onclick=${() => zoomTo(place.zoom > 1 ? 1 : Math.max(full, 1.01))}>${place.zoom > 1 ? say("fit") : say("fullZoom")}</button>
        <button type="button" onclick=${() => zoomBy(1.5)} aria-label=${say("zoomIn")}>+</button>
      </div>
      ${busy && html`<div class="busy" aria-hidden="true"></div>`}
    </div>`;
};
