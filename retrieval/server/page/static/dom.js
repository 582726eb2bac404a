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
