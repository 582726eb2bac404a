// Which hits are selected, and what can be done with them together.

import { download } from "./api.js";
import { announce, byId, count } from "./dom.js";
import { say } from "./notice.js";
import { query } from "./state.js";

const bar = byId("selection");
const chosen = new Map(); // id → hit, in the order in which they were selected
const MOST_ALIKE = 12; // pictures that one query takes

let painted = () => {};

export const has = (id) => chosen.has(id);

// `paint` is called after each change; `more` with the hits that others shall be like.
export function start({ paint, more, originals }) {
  painted = paint;
  byId("list").addEventListener("click", () => save("list"));
  byId("zip").addEventListener("click", () => save("zip"));
  byId("zip").hidden = !originals;
  byId("alike").addEventListener("click", () => {
    const hits = [...chosen.values()].slice(0, MOST_ALIKE);
    clear();
    more(hits);
  });
  byId("unselect").addEventListener("click", clear);
}

export const offerZip = (originals) => { byId("zip").hidden = !originals; };

export function toggle(hits, on) {
  for (const hit of hits) {
    if (on) chosen.set(hit.id, hit);
    else chosen.delete(hit.id);
  }
  show();
}

export function clear() {
  chosen.clear();
  show();
}

function show() {
  bar.hidden = chosen.size === 0;
  document.body.classList.toggle("selecting", chosen.size > 0);
  byId("alike").textContent = chosen.size > MOST_ALIKE ? `More like the first ${MOST_ALIKE}` : "More like these";
  byId("selected").textContent = `${count(chosen.size, "picture")} selected`;
  announce(byId("selected").textContent);
  painted();
}

async function save(what) {
  const started = byId(what);
  started.disabled = true;
  started.setAttribute("aria-busy", "true");
  try {
    const file = await download(query().collection, [...chosen.keys()], what);
    const address = URL.createObjectURL(file);
    const link = document.createElement("a");
    link.href = address;
    link.download = what === "zip" ? "pictures.zip" : "pictures.txt";
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  } catch (error) {
    say(error.message);
  } finally {
    started.disabled = false;
    started.removeAttribute("aria-busy");
  }
}
