// The box: words that are typed, and a chip for every other part of the query.

import * as pictures from "./pictures.js";
import { thumbnail } from "./api.js";
import { announce, byId, button, element, icon, visible } from "./dom.js";
import { empty, isComparable } from "./query.js";
import { change, query, settle, subscribe } from "./state.js";
import { drawPart } from "./part_dialog.js";

export const MORE = 1;
export const LESS = -0.25; // a picture weighs more than words: this takes it off and leaves what the words mean
const PAUSE = 60; // milliseconds after the last key before it is searched
const STEP = 0.25;
const MOST = 2;

const form = byId("box");
const words = byId("words");
const chips = byId("chips");
const weigh = byId("weigh");
let timer = 0;
let weighed = 0; // the place of the chip that was weighed last

export function start() {
  words.value = query().words;
  words.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => change({ words: words.value }, { typed: true }), PAUSE);
    dress();
  });
  words.addEventListener("keydown", onKey);
  words.addEventListener("blur", settle);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    flush();
    settle();
  });
  byId("clear").addEventListener("click", () => {
    clearTimeout(timer);
    settle();
    change({ words: "", terms: [], open: null });
    words.value = "";
    words.focus();
  });
  byId("keep").addEventListener("click", keep);
  byId("compare").addEventListener("click", () => change({ check: !query().check }));
  weigh.addEventListener("toggle", (event) => {
    // A chip is made anew when its weight changes, so the browser cannot put the cursor back on it.
    const lost = document.activeElement === document.body || weigh.contains(document.activeElement);
    if (event.newState === "closed" && lost) (chips.children[weighed]?.firstElementChild ?? words).focus();
  });
  subscribe((now, before) => {
    if (now.words.trim() !== words.value.trim()) words.value = now.words;
    if (now.terms !== before.terms || now.collection !== before.collection) draw();
    dress();
  });
  draw();
  dress();
}

// Search at once for what has been typed so far.
function flush() {
  clearTimeout(timer);
  change({ words: words.value }, { typed: true });
}

function onKey(event) {
  if (event.key === "Enter" && event.shiftKey) {
    event.preventDefault();
    keep();
  } else if (event.key === "Backspace" && words.selectionEnd === 0 && query().terms.length > 0) {
    chips.lastElementChild.querySelector("button").focus();
  } else if (event.key === "ArrowDown") {
    document.querySelector("#hits [tabindex='0']")?.focus();
    event.preventDefault();
  }
}

// Turn the words into a chip, so that others can be typed beside them.
function keep() {
  const value = words.value.trim();
  if (!value) return;
  clearTimeout(timer);
  settle();
  words.value = "";
  change({ words: "", terms: [...query().terms, { kind: "words", value, weight: MORE, region: null }] });
  words.focus();
}

// Add a part to the query. One that is there already gets the new weight.
export function addTerm(term) {
  const others = query().terms.filter((other) => !equal(other, term));
  settle();
  change({ terms: [...others, { region: null, ...term }], open: null });
}

export async function addPicture(file) {
  addTerm({ kind: "image", value: await pictures.add(file), weight: MORE });
  announce("Searching by the picture");
}

const equal = (one, other) =>
  one.kind === other.kind && one.value === other.value && String(one.region ?? "") === String(other.region ?? "");

function replaceTerm(at, term) {
  const terms = [...query().terms];
  if (term) terms[at] = term;
  else terms.splice(at, 1);
  change({ terms });
}

function dress() {
  const now = query();
  const any = words.value !== "" || now.terms.length > 0;
  byId("clear").hidden = !any;
  byId("keep").hidden = words.value.trim() === "";
  byId("compare").hidden = !isComparable(now);
  byId("compare").setAttribute("aria-pressed", String(now.check));
  words.placeholder = now.terms.length > 0 ? "Add words" : words.dataset.placeholder;
  form.classList.toggle("filled", any);
  document.title = [title(now), "retrieve"].filter(Boolean).join(" – ");
}

function title(now) {
  const said = now.terms.filter((term) => term.kind === "words").map((term) => term.value);
  const shown = now.terms.length - said.length;
  return [now.words.trim(), ...said, shown ? `${shown} ${shown === 1 ? "picture" : "pictures"}` : ""]
    .filter(Boolean)
    .join(" + ");
}

function draw() {
  if (!query().collection) return; // it is not known yet where pictures come from
  const focused = [...chips.children].findIndex((chip) => chip.contains(document.activeElement));
  chips.replaceChildren(...query().terms.map(chip));
  if (focused >= 0) (chips.children[Math.min(focused, chips.children.length - 1)]?.firstElementChild ?? words).focus();
}

function chip(term, at) {
  const named = label(term);
  const weight = term.weight === MORE ? "" : `${Math.abs(term.weight)}×`;
  const main = element(
    "button",
    {
      type: "button",
      class: "chip-main",
      "aria-haspopup": "dialog",
      "aria-label": `${term.weight < 0 ? "less like" : "more like"} ${named} ${weight}`.trim(),
      title: `${named} – click to weigh it`,
      on: { click: () => openWeigh(at, main), keydown: (event) => onChipKey(event, at) },
    },
    term.weight < 0 ? icon("less") : null,
    term.kind === "words" ? element("span", { class: "chip-words" }, element("bdi", {}, named)) : face(term),
    weight ? " " : null, // so that a reader does not take the two for one word
    weight ? element("span", { class: "chip-weight" }, weight) : null,
  );
  const remove = button(`Remove ${named}`, "close", () => replaceTerm(at, null), { class: "chip-remove" });
  return element("li", { class: `chip ${term.kind}${term.weight < 0 ? " minus" : ""}` }, main, remove);
}

function label(term) {
  if (term.kind === "words") return visible(term.value);
  const whole = term.kind === "id" ? `picture ${term.value}` : "your picture";
  return term.region ? `a part of ${whole}` : whole;
}

// Show the picture of a chip; of a part, that part alone.
function face(term) {
  const image = element("img", { alt: "" });
  const frame = element("span", { class: "chip-face" }, image);
  if (term.region) {
    const [x, y, width, height] = term.region;
    frame.classList.add("part");
    image.addEventListener("load", () => {
      frame.style.setProperty("--ratio", (width * image.naturalWidth) / (height * image.naturalHeight));
    });
    image.style.setProperty("width", `${100 / width}%`);
    image.style.setProperty("height", `${100 / height}%`);
    image.style.setProperty("left", `${(-100 * x) / width}%`);
    image.style.setProperty("top", `${(-100 * y) / height}%`);
  }
  image.addEventListener("error", () => image.replaceWith(icon("picture")));
  source(term, 256).then((address) => {
    if (address) image.src = address;
    else image.replaceWith(icon("picture"));
  });
  return frame;
}

// Return an address of the picture of a term, or null if it is not in this browser.
async function source(term, size) {
  if (term.kind === "id") return thumbnail(query().collection, term.value, size);
  return (await pictures.get(term.value))?.preview ?? null;
}

function onChipKey(event, at) {
  const term = query().terms[at];
  const turn = { ArrowUp: STEP, ArrowDown: -STEP }[event.key];
  if (turn) {
    event.preventDefault();
    reweigh(at, term.weight + turn);
    announce(`weight ${query().terms[at].weight}`);
  } else if (event.key === "Delete" || event.key === "Backspace") {
    event.preventDefault();
    replaceTerm(at, null);
  } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    const next = at + (event.key === "ArrowLeft" ? -1 : 1);
    (chips.children[next]?.firstElementChild ?? (next < 0 ? null : words))?.focus();
  }
}

function reweigh(at, weight) {
  replaceTerm(at, { ...query().terms[at], weight: Math.max(-MOST, Math.min(MOST, weight)) });
}

// Show what can be done with a part of the query, below its chip.
function openWeigh(at, anchor) {
  weighed = at;
  const term = query().terms[at];
  const said = element("output", {}, String(term.weight));
  const range = element("input", {
    type: "range", min: -MOST, max: MOST, step: STEP, value: term.weight, "aria-label": "Weight",
    on: {
      input: () => { said.textContent = range.value; },
      change: () => reweigh(at, Number(range.value)),
    },
  });
  const act = (text, listener) =>
    element("button", { type: "button", class: "quiet", on: { click: () => { weigh.hidePopover(); listener(); } } }, text);
  const others = query().terms.length > 1 || query().words.trim() !== "";
  weigh.replaceChildren(
    element("p", { class: "weigh-name" }, element("bdi", {}, label(term))),
    element("label", { class: "weigh-range" }, element("span", {}, "less"), range, element("span", {}, "more"), said),
    element(
      "div",
      { class: "weigh-actions" },
      term.kind === "words" ? act("Edit", () => edit(at)) : act("Draw a part", () => draft(at)),
      others ? act("Only this", () => only(at)) : null,
      act("Remove", () => replaceTerm(at, null)),
    ),
  );
  weigh.showPopover();
  const box = anchor.getBoundingClientRect();
  const left = Math.max(8, Math.min(box.left, innerWidth - weigh.offsetWidth - 8));
  weigh.style.setProperty("left", `${left}px`);
  weigh.style.setProperty("top", `${box.bottom + 8}px`);
  range.focus();
}

function edit(at) {
  const term = query().terms[at];
  const terms = query().terms.filter((_, other) => other !== at);
  const typed = query().words.trim();
  if (typed) terms.push({ kind: "words", value: typed, weight: MORE, region: null });
  settle();
  change({ words: term.value, terms });
  words.focus();
}

function only(at) {
  settle();
  change({ ...empty(query().collection), terms: [{ ...query().terms[at], weight: MORE }] });
}

async function draft(at) {
  const term = query().terms[at];
  const address = await source(term, 1024);
  const region = address && (await drawPart(address, term.region));
  if (region) replaceTerm(at, { ...term, region });
}
