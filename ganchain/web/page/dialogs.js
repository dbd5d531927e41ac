// Dialogs: the list of shortcuts, and the camera.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { addPhotos, set, state } from "./store.js";
import { say } from "./texts.js";

const Dialog = ({ title, children }) => {
  const dialog = useRef(null);
  useEffect(() => { dialog.current.showModal(); }, []);
  return html`<dialog ref=${dialog} onclose=${() => set({ dialog: "" })} aria-label=${title}>
    <div class="head"><h2>${title}</h2><button type="button" class="icon" aria-label=${say("close")} onclick=${() => dialog.current.close()}>✕</button></div>
    ${children}
  </dialog>`;
};

const Help = () => html`<${Dialog} title=${say("help")}><dl class="keys">${say("keys").map(([keys, does]) => html`<dt><kbd>${keys}</kbd></dt><dd>${does}</dd>`)}</dl><//>`;

const Camera = () => {
  const video = useRef(null);
  const [wrong, setWrong] = useState("");
  const [ready, setReady] = useState(false);
  useEffect(() => {
    let stream;
    let gone = false;
    (async () => {
      try {
        stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: { ideal: 1920 } } });
        if (gone) stream.getTracks().forEach((track) => track.stop());
        else video.current.srcObject = stream;
      } catch (error) { setWrong(say("cameraNo", error.message)); }
    })();
    return () => { gone = true; stream?.getTracks().forEach((track) => track.stop()); };
  }, []);
  const take = () => {
    const { videoWidth: width, videoHeight: height } = video.current;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    canvas.getContext("2d").drawImage(video.current, 0, 0);
    canvas.toBlob((blob) => {
      addPhotos([new File([blob], "camera.jpg", { type: "image/jpeg" })]);
      set({ dialog: "" });
    }, "image/jpeg", 0.95);
  };
  return html`<${Dialog} title=${say("camera")}>
    ${wrong ? html`<p class="error" role="alert">${wrong}</p>` : html`<video ref=${video} autoplay muted playsinline onloadedmetadata=${() => setReady(true)}></video>
    <button type="button" class="main" disabled=${!ready} onclick=${take}>${say("take")}</button>`}
  <//>`;
};

export const Dialogs = () => (state.dialog === "help" ? html`<${Help} />` : state.dialog === "camera" ? html`<${Camera} />` : null);
