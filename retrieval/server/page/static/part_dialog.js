// A window to draw a part of a picture of the query in.

import { byId, element } from "./dom.js";
import { drawable } from "./part.js";

// Show the picture at `address`. Returns the region that was drawn, or null if the window was closed.
export function drawPart(address, region) {
  const dialog = byId("part");
  const area = byId("part-area");
  const canvas = element("div", { class: "canvas" });
  const image = element("img", { alt: "The picture of the query" });
  return new Promise((resolve) => {
    const part = drawable(canvas, (drawn) => {
      resolve(drawn);
      dialog.close();
    });
    image.addEventListener("load", () => {
      canvas.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
      canvas.style.setProperty("--natural", `${image.naturalWidth}px`);
      part.begin(region);
    });
    image.src = address;
    canvas.prepend(image);
    area.replaceChildren(canvas);
    dialog.addEventListener("close", () => resolve(null), { once: true });
    dialog.showModal();
  });
}
