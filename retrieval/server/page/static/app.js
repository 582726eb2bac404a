// Put the page together: who is told of what.

import * as api from "./api.js";
import * as box from "./box.js";
import * as camera from "./camera.js";
import * as detail from "./detail.js";
import * as filters from "./filters.js";
import * as offers from "./offers.js";
import * as results from "./results.js";
import * as selection from "./selection.js";
import { announce, byId, element, visible } from "./dom.js";
import { say } from "./notice.js";
import { empty } from "./query.js";
import { change, open, query, subscribe } from "./state.js";

const LOOK = 10_000; // milliseconds between looks at whether the collection has changed
const SIZE = "retrieve.row"; // where the browser keeps the height of a row

let collections = [];
let told = ""; // the newest state of a collection that the page has said there is

const like = (weight) => (hit) => {
  box.addTerm({ kind: "id", value: hit.id, weight });
  announce(weight > 0 ? "Searching for more like this" : "Searching for less like this");
};
const more = like(box.MORE);
const less = like(box.LESS);

async function start() {
  size();
  box.start();
  filters.start();
  offers.start({ onPicture: picture, onRow: (id) => more({ id }) });
  camera.start(picture);
  results.start({ open: (hit) => open(hit.id), more, less, renew: learn });
  selection.start({ paint, more: alike, originals: false });
  detail.start({
    step, more, less, close: () => open(null), select: (hit) => selection.toggle([hit], !selection.has(hit.id)),
    part: (hit, region) => box.addTerm({ kind: "id", value: hit.id, weight: box.MORE, region }),
    isSelected: selection.has, originals: () => Boolean(current()?.originals),
  });
  keys();
  try {
    collections = await api.collections();
  } catch (error) {
    say(error.message);
    return;
  }
  choose();
  await meet();
  subscribe(async (now, before) => {
    if (now.collection !== before.collection) await meet();
    results.show(now);
    details(now, before);
  });
  await results.show(query());
  details(query(), empty());
  setInterval(look, LOOK);
  document.addEventListener("visibilitychange", look);
}

const current = () => collections.find((one) => one.name === query().collection);

// Let the collection be chosen where there are several; one that is not there is the first.
function choose() {
  const select = byId("collection");
  const names = collections.map((one) => one.name);
  select.replaceChildren(...names.map((name) => element("option", { value: name }, visible(name))));
  select.hidden = names.length < 2;
  byId("home").hidden = names.length > 1;
  byId("home").textContent = names.length === 1 ? visible(names[0]) : "retrieve";
  const wanted = query().collection;
  if (!names.includes(wanted)) {
    if (wanted && names.length) {
      say(`There is no collection ${visible(wanted)} here. This is ${visible(names[0])}.`, { kind: "news" });
    }
    change({ collection: names[0] ?? "" }, { replace: true });
  }
  select.addEventListener("change", () => change(empty(select.value)));
}

// Turn to the collection that is asked.
async function meet() {
  byId("collection").value = query().collection;
  selection.clear();
  selection.offerZip(Boolean(current()?.originals));
  byId("map").hidden = !current()?.map;
  byId("map").href = current()?.map ?? "";
  byId("duplicates").hidden = !current()?.duplicates;
  byId("duplicates").href = current()?.duplicates ?? "";
  await learn();
}

// Learn what can be filtered by, at the start and after the collection has changed.
async function learn() {
  const collection = current();
  let columns = [];
  try {
    if (collection) columns = await api.columns(collection.name);
  } catch (error) {
    say(error.message);
  }
  results.about(collection, new Map(columns.map(({ name, type }) => [name, type])));
  filters.about(columns);
}

async function picture(file) {
  try {
    await box.addPicture(file);
  } catch (error) {
    say(`The picture cannot be read: ${error.message}`);
  }
}

function alike(hits) {
  change({ terms: [...query().terms, ...hits.map((hit) => ({ kind: "id", value: hit.id, weight: box.MORE, region: null }))], open: null });
}

function paint() {
  results.paint();
  detail.refresh();
}

function details(now, before) {
  if (now.open === null) {
    detail.hide();
    if (before.open !== null) results.focusOn(before.open);
    return;
  }
  const hits = results.hits();
  const at = hits.findIndex((hit) => hit.id === now.open);
  detail.show(hits[at] ?? { id: now.open }, { before: at > 0, behind: at >= 0 && at < hits.length - 1 });
}

function step(by) {
  const hits = results.hits();
  const next = hits[hits.findIndex((hit) => hit.id === query().open) + by];
  if (next) open(next.id);
}

// See whether the collection has changed since its hits were found.
async function look() {
  if (document.hidden) return;
  try {
    collections = await api.collections();
  } catch {
    return; // the next search says what is wrong
  }
  const seen = results.generation();
  const { name, generation } = current() ?? {};
  const newest = `${generation} ${name}`;
  if (seen === null || !name || generation === seen || newest === told) return;
  told = newest; // once, so that a notice that was closed stays closed
  results.changed();
}

// Remember how large somebody likes the pictures.
function size() {
  const range = byId("size");
  const kept = Number(localStorage.getItem(SIZE));
  if (kept >= Number(range.min) && kept <= Number(range.max)) {
    range.value = kept;
    document.documentElement.style.setProperty("--row", `${kept}px`);
  }
  range.addEventListener("input", () => document.documentElement.style.setProperty("--row", `${range.value}px`));
  range.addEventListener("change", () => {
    localStorage.setItem(SIZE, range.value);
    results.resize();
  });
}

function keys() {
  byId("home").addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    results.forget();
    change(empty(query().collection));
  });
  byId("help").addEventListener("click", () => byId("keys").showModal());
  for (const dialog of document.querySelectorAll("dialog.window")) {
    dialog.querySelector(".window-close").addEventListener("click", () => dialog.close());
  }
  document.addEventListener("keydown", (event) => {
    const writing = event.target.closest("input, textarea, select, dialog");
    if (writing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      event.preventDefault();
      byId("words").focus();
      byId("words").select();
    } else if (event.key === "?") byId("keys").showModal();
    else if (event.key === "Escape") selection.clear();
  });
}

start();
