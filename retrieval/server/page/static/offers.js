// Take pictures that are dropped, pasted or picked, and hits that are dragged onto the box.

import { byId } from "./dom.js";
import { say } from "./notice.js";

export const ROW = "application/x-retrieve-row";

const veil = byId("veil");
const MOST = 4; // pictures at once: a query of more would be a mean of everything

export function start({ onPicture, onRow }) {
  const file = byId("file");
  byId("pick").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    take(file.files, onPicture);
    file.value = "";
  });
  document.addEventListener("paste", (event) => {
    const files = event.clipboardData.files;
    if (files.length === 0) return; // words go where the cursor is
    event.preventDefault();
    take(files, onPicture);
  });
  watchDrops(onPicture, onRow);
}

function take(files, onPicture) {
  const images = [...files].filter(pictured);
  if (images.length === 0 && files.length > 0) say("This is no picture.");
  for (const image of images.slice(0, MOST)) onPicture(image);
  if (images.length > MOST) say(`The first ${MOST} of ${images.length} pictures are searched by.`);
}

// A browser gives no type to the kinds of pictures that it does not know, such as raw photographs.
const pictured = (file) => file.type.startsWith("image/") || file.type === "" || file.type === "application/pdf";

function watchDrops(onPicture, onRow) {
  let depth = 0;
  const offered = (event) => [ROW, "Files"].some((type) => event.dataTransfer?.types.includes(type));
  document.addEventListener("dragenter", (event) => {
    if (!offered(event)) return;
    event.preventDefault();
    depth += 1;
    veil.hidden = event.dataTransfer.types.includes(ROW);
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (depth === 0) end();
  });
  document.addEventListener("dragover", (event) => {
    if (!offered(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  document.addEventListener("drop", (event) => {
    if (!offered(event)) return;
    event.preventDefault();
    end();
    const row = event.dataTransfer.getData(ROW);
    if (row === "") take(event.dataTransfer.files, onPicture);
    else if (event.target.closest("#box")) onRow(Number(row));
  });
  function end() {
    depth = 0;
    veil.hidden = true;
    document.body.classList.remove("dragging");
  }
}
