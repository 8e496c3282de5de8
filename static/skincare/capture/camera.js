/* The live camera with a guide over it. Where there is none, or it is denied, the phone's own camera app takes over. */
import { $, t } from "./page.js";

const GUIDES = {
  overview: '<rect x="15" y="12" width="70" height="76" rx="6"/><circle cx="50" cy="50" r="5"/>',
  close_up: '<circle cx="50" cy="46" r="24"/><path d="M20 82h60M20 82v-6M32 82v-4M44 82v-4M56 82v-4M68 82v-4M80 82v-6"/>',
  dermoscopic: '<circle cx="50" cy="50" r="38"/><path d="M50 44v12M44 50h12"/>',
};

/** The wait for leave to use the camera, and whether the screen that asked is still there. */
let asking = null;

/** Let a person take a photograph: a Blob, or null where they closed it. Throws where no camera can be had. */
export async function takePhotograph(kind) {
  if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("no camera", "NotFoundError");
  if (asking) return null; // a second tap, while the first waits for leave
  const ask = asking = { wanted: true };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: false, video: { facingMode: { ideal: "environment" }, width: { ideal: 2560 }, height: { ideal: 1920 } },
    });
  } finally {
    asking = null;
  }
  if (!ask.wanted) {
    stop(stream);
    return null;
  }
  const dialog = $("#camera");
  const video = $("#camera-video");
  $("#camera-title").textContent = t(`kind ${kind}`);
  $("#camera-hint").textContent = t(`hint ${kind}`);
  $("#guide").innerHTML = GUIDES[kind];
  video.srcObject = stream;
  dialog.showModal();
  try {
    let settle;
    const taken = new Promise((resolve) => { settle = resolve; });
    $("[data-close]", dialog).onclick = dialog.oncancel = () => settle(null); // also while the camera still starts
    await Promise.race([video.play(), taken]);
    $("#shutter").onclick = () => settle(frame(video));
    return await taken;
  } finally {
    stop(stream);
    video.srcObject = null;
    dialog.close();
  }
}

const stop = (stream) => stream.getTracks().forEach((track) => track.stop());

/** As if the person had closed it: where the app is locked, or another screen opened, under it or before it opened. */
export function closeCamera() {
  if (asking) asking.wanted = false;
  if ($("#camera").open) $("[data-close]", $("#camera")).click();
}

function frame(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}
