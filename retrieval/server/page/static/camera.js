// Take a picture: by the camera's own page on a phone, in a window with its view elsewhere.

import { byId } from "./dom.js";
import { say } from "./notice.js";

const dialog = byId("camera");
const video = byId("camera-view");
let stream = null;
let taken = null;

export function start(onPicture) {
  const shutter = byId("take");
  const file = byId("camera-file");
  const phone = matchMedia("(pointer: coarse)").matches;
  const can = Boolean(navigator.mediaDevices?.getUserMedia); // only where the connection is safe, such as loopback
  shutter.hidden = !phone && !can;
  shutter.addEventListener("click", () => (phone ? file.click() : view()));
  file.addEventListener("change", () => {
    if (file.files[0]) onPicture(file.files[0]);
    file.value = "";
  });
  taken = onPicture;
  byId("shutter").addEventListener("click", take);
  dialog.addEventListener("close", stop);
}

async function view() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
  } catch (error) {
    say(error.name === "NotFoundError" ? "There is no camera." : `The camera cannot be used: ${error.message}`);
    return;
  }
  video.srcObject = stream;
  dialog.showModal();
}

async function take() {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/webp", quality: 0.92 });
  dialog.close();
  taken(blob);
}

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = video.srcObject = null;
}
