// The filters: a folder, dates, columns, a glob, a condition and the least score.

import * as api from "./api.js";
import { byId, button, element, grouped, visible } from "./dom.js";
import { say } from "./notice.js";
import { filters } from "./query.js";
import { change, query, settle, subscribe } from "./state.js";

const FEW = 12; // values of a column that are shown as boxes to tick
const panel = byId("filters");
const toggle = byId("filters-toggle");
const pills = byId("pills");
let columns = [];

export function start() {
  toggle.addEventListener("click", () => unfold(panel.hidden));
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    unfold(false);
    toggle.focus();
  });
  subscribe((now, before) => {
    if (now.collection !== before.collection) return;
    dress();
    if (!panel.hidden && (now.under !== before.under || !panel.contains(document.activeElement))) draw();
  });
}

// Tell which columns the collection has: [{name, type, values}].
export function about(known) {
  columns = [...known].sort((one, other) => place(one) - place(other));
  dress();
  if (!panel.hidden) draw();
}

// Dates and words come before numbers, and what every picture has comes last.
function place({ name, type }) {
  if (["width", "height", "bytes"].includes(name)) return 3;
  return { time: 0, text: 1, boolean: 1 }[type] ?? 2;
}

function unfold(open) {
  panel.hidden = !open;
  toggle.setAttribute("aria-expanded", String(open));
  if (!open) return;
  draw();
  panel.scrollIntoView({ block: "nearest" }); // somebody may be far down among the hits
}

function dress() {
  const many = filters(query());
  byId("filters-count").textContent = many ? String(many) : "";
  const found = active();
  pills.replaceChildren(...found.map(pill), ...(found.length > 1 ? [all(found)] : []));
}

// Drop all filters at once, where there are several.
function all(found) {
  const clear = () => {
    apply({ ...Object.assign({}, ...found.map(([, patch]) => patch)), columns: {} });
    toggle.focus(); // this button is gone
  };
  return element("li", {}, element("button", { type: "button", class: "clear-filters", on: { click: clear } }, "Clear all"));
}

// Return what narrows the query, in words, with what it takes to drop it.
function active() {
  const now = query();
  const found = [];
  if (now.under) found.push([`in ${visible(now.under)}`, { under: "" }]);
  if (now.glob) found.push([`matches ${visible(now.glob)}`, { glob: "" }]);
  if (now.least) found.push([`score at least ${visible(now.least)}`, { least: "" }]);
  if (now.condition) found.push([visible(now.condition), { condition: "" }]);
  for (const [name, wanted] of Object.entries(now.columns)) {
    found.push([`${visible(name)} ${said(wanted)}`, { columns: without(now.columns, name) }]);
  }
  return found;
}

function said({ values, from, to, holds }) {
  return [
    values?.length ? values.map(visible).join(" or ") : "",
    from && to ? `${visible(from)} to ${visible(to)}` : from ? `from ${visible(from)}` : to ? `up to ${visible(to)}` : "",
    holds ? `has “${visible(holds)}”` : "",
  ]
    .filter(Boolean)
    .join(", ");
}

function pill([text, patch]) {
  return element("li", { class: "pill" }, element("bdi", {}, text), button(`Remove the filter ${text}`, "close", () => apply(patch)));
}

function apply(patch) {
  settle();
  change(patch);
}

const without = (from, name) => Object.fromEntries(Object.entries(from).filter(([other]) => other !== name));

function put(name, wanted) {
  const kept = Object.fromEntries(Object.entries(wanted).filter(([, value]) => (Array.isArray(value) ? value.length : value)));
  const others = without(query().columns, name);
  apply({ columns: Object.keys(kept).length ? { ...others, [name]: kept } : others });
}

function draw() {
  const now = query();
  const focused = document.activeElement?.dataset?.field;
  panel.replaceChildren(
    folder(now),
    ...columns.map((column) => field(column, now.columns[column.name] ?? {})).filter(Boolean),
    element(
      "fieldset",
      { class: "field also" },
      element("legend", {}, "Also"),
      text("Path matches", now.glob, (value) => apply({ glob: value }), { placeholder: "**/*.jpg", data: { field: "glob" } }),
      text("Least score", now.least, (value) => apply({ least: value }), { type: "number", step: "any", placeholder: "0.2", data: { field: "least" } }),
      columns.length
        ? text("Condition", now.condition, (value) => apply({ condition: value }), { placeholder: "width > 2 * height", data: { field: "condition" } })
        : null,
    ),
  );
  if (focused) panel.querySelector(`[data-field="${CSS.escape(focused)}"]`)?.focus();
}

function text(label, value, listener, attributes = {}) {
  return element(
    "label",
    {},
    element("span", {}, label),
    element("input", { type: "text", value, autocomplete: "off", spellcheck: "false", ...attributes, on: { change: (event) => listener(event.target.value.trim()) } }),
  );
}

function field({ name, type, values = [] }, wanted) {
  const shown = visible(name);
  const legend = element("legend", {}, shown);
  const range = (kind, more = {}) =>
    ["from", "to"].map((side) =>
      element(
        "label",
        {},
        element("span", {}, side),
        element("input", {
          type: kind, value: wanted[side] ?? "", placeholder: side, "aria-label": `${shown} ${side}`, ...more, data: { field: `${name}.${side}` },
          on: { change: (event) => put(name, { ...query().columns[name], [side]: event.target.value }) },
        }),
      ),
    );
  if (type === "time") return element("fieldset", { class: "field pair" }, legend, ...range("date"));
  if (type === "integer" || type === "number") return element("fieldset", { class: "field pair" }, legend, ...range("number", { step: "any" }));
  const listed = type === "boolean" ? [true, false] : values.map((one) => one?.value ?? one);
  if (listed.length > 0 && listed.length <= FEW) {
    return element("fieldset", { class: "field ticks" }, legend, ...listed.map((value) => tick(name, String(value), wanted)));
  }
  return element(
    "fieldset",
    { class: "field" },
    legend,
    text("has", wanted.holds ?? "", (value) => put(name, { ...query().columns[name], holds: value }), { "aria-label": `${shown} has`, data: { field: `${name}.holds` } }),
  );
}

function tick(name, value, wanted) {
  const box = element("input", {
    type: "checkbox", checked: wanted.values?.includes(value) ?? false, data: { field: `${name}=${value}` },
    on: {
      change: () => {
        const others = (query().columns[name]?.values ?? []).filter((other) => other !== value);
        put(name, { ...query().columns[name], values: box.checked ? [...others, value] : others });
      },
    },
  });
  return element("label", { class: "tick" }, box, element("bdi", {}, visible(value)));
}

// Folders open one by one: those above as a trail, those below as a list.
function folder(now) {
  const places = now.under.split("/").filter(Boolean);
  const step = (label, to) =>
    element("button", { type: "button", class: "crumb", data: { field: `under=${to}` }, "aria-current": to === now.under ? "true" : null, on: { click: () => apply({ under: to }) } }, element("bdi", {}, label));
  const below = element("ul", { class: "folders" });
  const made = element(
    "fieldset",
    { class: "field folder-field" },
    element("legend", {}, "Folder"),
    element("div", { class: "trail" }, step("All", ""), ...places.map((place, at) => step(visible(place), places.slice(0, at + 1).join("/")))),
    below,
  );
  fillFolders(below, now);
  return made;
}

async function fillFolders(below, now) {
  try {
    const found = await api.folders(now.collection, now.under);
    below.replaceChildren(
      ...found.map(({ name, path, images }) =>
        element(
          "li",
          {},
          element(
            "button",
            { type: "button", data: { field: `under=${path}` }, on: { click: () => apply({ under: path }) } },
            element("bdi", {}, visible(name)),
            " ",
            element("span", { class: "many" }, grouped(images), element("span", { class: "unseen" }, images === 1 ? " picture" : " pictures")),
          ),
        ),
      ),
    );
  } catch (error) {
    say(error.message);
  }
}
