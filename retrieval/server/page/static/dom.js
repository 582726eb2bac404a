// Make elements. Whatever comes from a collection or a person becomes a text node or an attribute, never markup.

const SVG = "http://www.w3.org/2000/svg";

// Return an element. Attributes: `class`, `on` ({event: function}), `data` ({name: value}); true sets an empty one,
// false, null and undefined set none. Children: nodes, and texts.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    } else if (name === "data") {
      Object.assign(made.dataset, value);
    } else if (value === true) {
      made.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      made.setAttribute(name, value);
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Return a drawing from the symbols of index.html.
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  drawing.append(use);
  return drawing;
}

// Return a drawing of where the picture that was asked with lies in a hit, or else of the part of the hit that answered; null
// where nobody knows. `wide` is the hit's width over its height, so that the drawing is framed as the picture is; without it
// the drawing fills the frame.
export function outline(hit, wide = null) {
  const corners = hit.outline ?? cornersOf(hit.region);
  if (!corners) return null;
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", `outline ${hit.outline ? hit.relation : "region"}`);
  drawing.setAttribute("aria-hidden", "true");
  drawing.setAttribute("viewBox", `0 0 ${wide ?? 1} 1`);
  if (wide === null) drawing.setAttribute("preserveAspectRatio", "none");
  const line = document.createElementNS(SVG, "polygon");
  line.setAttribute("points", corners.map(([x, y]) => `${x * (wide ?? 1)},${y}`).join(" "));
  drawing.append(line);
  return drawing;
}

function cornersOf(region) {
  if (!region) return null;
  const [x, y, width, height] = region;
  return [[x, y], [x + width, y], [x + width, y + height], [x, y + height]];
}

// Say what a hit is to the picture that was asked with; nothing where it was not compared, or is nothing to it.
export const relation = (hit) => hit.relation === "picture" && !hit.verified ? "likely the same picture" : ({ picture: "same picture", scene: "same scene", object: "same object" })[hit.relation] ?? "";

export function button(label, drawing, listener, attributes = {}) {
  return element(
    "button",
    { type: "button", "aria-label": label, title: label, ...attributes, on: { click: listener } },
    icon(drawing),
  );
}

export const byId = (id) => document.getElementById(id);

// Show a name as the static page does: control characters and lone surrogates as escapes, so that none reorders a line.
export function visible(name) {
  return String(name)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (sign) => `\\u{${sign.codePointAt(0).toString(16)}}`);
}

export function nameOf(path) {
  return visible(path.slice(path.lastIndexOf("/") + 1));
}

export function folderOf(path) {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

let spoken = 0;

// Tell a screen reader, politely and once.
export function announce(text) {
  clearTimeout(spoken);
  spoken = setTimeout(() => {
    byId("announcer").textContent = text;
  }, 250);
}

const NUMBER = new Intl.NumberFormat("en");

export const count = (number, one, many = `${one}s`) => `${NUMBER.format(number)} ${number === 1 ? one : many}`;
export const grouped = (number) => NUMBER.format(number);
