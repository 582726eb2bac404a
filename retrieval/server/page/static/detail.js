// The details of one picture: large, with all that is known of it, and parts of it to search by.

import * as api from "./api.js";
import { announce, byId, count, element, folderOf, grouped, nameOf, outline, relation, visible } from "./dom.js";
import { drawable } from "./part.js";
import { query } from "./state.js";

const LARGE = 1024; // pixels of the picture that is shown; larger ones are opened as they are
const UNITS = ["bytes", "kB", "MB", "GB"];

const dialog = byId("detail");
const stage = byId("stage");
const sheet = byId("sheet");
let act = {};
let shown = null; // the hit that is shown
let part = null;
let asked = new AbortController();

// `actions` has step(-1 | 1), close, more, less, select, part, isSelected and originals.
export function start(actions) {
  act = actions;
  byId("detail-close").addEventListener("click", () => act.close());
  byId("previous").addEventListener("click", () => act.step(-1));
  byId("next").addEventListener("click", () => act.step(1));
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault(); // the address decides what is open
    act.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.closest("input, [role='application']") || event.ctrlKey || event.metaKey || event.altKey) return;
    const does = {
      ArrowLeft: () => act.step(-1), ArrowRight: () => act.step(1), x: () => act.select(shown),
      "+": () => act.more(shown), "=": () => act.more(shown), "-": () => act.less(shown), p: () => part?.begin(),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  });
}

export function hide() {
  asked.abort();
  if (dialog.open) dialog.close();
  stage.replaceChildren();
  shown = null;
}

// Show a hit; `edges` says whether there is one before, and one behind it.
export async function show(hit, edges) {
  const again = shown?.id === hit.id;
  shown = hit;
  byId("previous").disabled = !edges.before;
  byId("next").disabled = !edges.behind;
  if (!dialog.open) dialog.showModal();
  if (again) return;
  asked.abort();
  asked = new AbortController();
  picture(hit);
  fill(hit, null);
  if (!again) byId("detail-close").focus({ preventScroll: true });
  try {
    const facts = await api.facts(query().collection, hit.id, asked.signal);
    if (shown?.id === hit.id) fill({ ...hit, path: hit.path ?? facts.path }, facts);
  } catch (error) {
    if (error.name !== "AbortError") sheet.append(element("p", { class: "gone", role: "alert" }, error.message));
  }
}

export function refresh() {
  const mark = byId("detail-select");
  if (shown && mark) mark.setAttribute("aria-pressed", String(act.isSelected(shown.id)));
}

function picture(hit) {
  const canvas = element("div", { class: "canvas" });
  const image = element("img", { alt: hit.path ? nameOf(hit.path) : "The picture" });
  const width = hit.width ?? hit.columns?.width;
  const height = hit.height ?? hit.columns?.height;
  const frame = (wide, high) => {
    canvas.style.setProperty("--ratio", wide / high);
    canvas.style.setProperty("--natural", `${wide}px`);
  };
  if (width > 0 && height > 0) frame(width, height);
  image.addEventListener("load", () => {
    if (!(width > 0 && height > 0)) frame(image.naturalWidth, image.naturalHeight);
  });
  image.addEventListener("error", () => image.replaceWith(element("p", { class: "fault" }, "not shown")));
  image.src = api.thumbnail(query().collection, hit.id, LARGE);
  canvas.append(image, ...[outline(hit)].filter(Boolean));
  part = drawable(canvas, (region) => act.part(hit, region));
  stage.replaceChildren(canvas);
}

function fill(hit, facts) {
  const path = hit.path ?? "";
  const columns = { ...hit.columns, ...facts?.columns };
  const width = facts?.width ?? columns.width;
  const height = facts?.height ?? columns.height;
  const size = facts?.bytes ?? facts?.size ?? columns.bytes;
  const rows = [
    ["Folder", folderOf(path) && visible(folderOf(path))],
    ["Score", hit.score !== undefined && hit.score !== null && hit.score.toFixed(4)],
    ["Compared", relation(hit) && `${relation(hit)}, probability ${hit.verified_probability.toFixed(2)} of the same picture`],
    ["Pixels", width && height && `${grouped(width)} × ${grouped(height)}`],
    ["Size", size !== undefined && size !== null && bytes(size)],
    ["Taken", time(facts?.time ?? columns.taken)],
  ];
  for (const [name, value] of Object.entries(columns)) {
    if (!["width", "height", "bytes", "taken"].includes(name)) rows.push([visible(name), shownValue(value)]);
  }
  const copies = hit.duplicates ?? facts?.duplicates ?? [];
  const more = (hit.n_duplicates ?? 0) - copies.length;
  sheet.replaceChildren(
    element("h2", { id: "detail-name", tabindex: "-1" }, element("bdi", {}, nameOf(path) || `Picture ${hit.id}`)),
    actions(hit, path, facts),
    element(
      "dl",
      {},
      ...rows.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, element("bdi", {}, value))]),
    ),
    ...(copies.length
      ? [
          element("h3", {}, count(hit.n_duplicates ?? copies.length, "copy", "copies")),
          element(
            "ul",
            { class: "copies" },
            ...copies.map((copy) => element("li", {}, element("bdi", {}, visible(copy)))),
            more > 0 ? element("li", {}, `${grouped(more)} more`) : null,
          ),
        ]
      : []),
    element("p", { class: "hint" }, "Drag over the picture to search by a part of it."),
  );
}

function actions(hit, path, facts) {
  const act_ = (text, listener, attributes = {}) =>
    element("button", { type: "button", ...attributes, on: { click: listener } }, text);
  return element(
    "div",
    { class: "detail-acts" },
    act_("More like this", () => act.more(hit), { class: "primary" }),
    act_("Less like this", () => act.less(hit)),
    act_("Search a part", () => part.begin()),
    act_("Select", () => act.select(hit), { id: "detail-select", "aria-pressed": String(act.isSelected(hit.id)) }),
    path ? act_("Copy path", (event) => copy(facts?.file ?? path, event.currentTarget)) : null,
    act.originals()
      ? element("a", { class: "button", href: api.original(query().collection, hit.id), target: "_blank", rel: "noopener" }, "Open original")
      : null,
  );
}

async function copy(text, pressed) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without a safe connection there is no clipboard to write to: select the text, and let the keys copy it.
    const field = element("textarea", { class: "unseen" });
    field.value = text;
    dialog.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  const before = pressed.textContent;
  pressed.textContent = "Copied";
  announce("Path copied");
  setTimeout(() => { pressed.textContent = before; }, 1500);
}

function bytes(number) {
  let unit = 0;
  let left = number;
  while (left >= 1000 && unit < UNITS.length - 1) {
    left /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? left : left.toPrecision(3)} ${UNITS[unit]}`;
}

function time(value) {
  if (value === undefined || value === null) return "";
  const moment = new Date(/^\d{4}-\d\d-\d\dT/.test(value) ? value : Number.NaN);
  return Number.isNaN(moment.getTime()) ? shownValue(value) : moment.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

function shownValue(value) {
  if (value === null || value === undefined) return "";
  return visible(typeof value === "object" ? JSON.stringify(value) : value);
}
