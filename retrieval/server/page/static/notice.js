// Say one thing above the pictures: what went wrong, or that the collection has changed.

import { byId, element } from "./dom.js";

const place = byId("notice");

// Show a text, and a button if there is something to do about it.
export function say(text, { label = "", act = null, kind = "fault" } = {}) {
  place.dataset.kind = kind;
  place.replaceChildren(
    element("span", {}, text),
    ...(act ? [element("button", { type: "button", class: "quiet", on: { click: () => { hush(); act(); } } }, label)] : []),
    element("button", { type: "button", class: "quiet", on: { click: hush } }, "Close"),
  );
  place.hidden = false;
}

// Hide what is shown, or only what is of one kind.
export function hush(kind) {
  if (typeof kind === "string" && place.dataset.kind !== kind) return;
  place.hidden = true;
  place.replaceChildren();
}
