// One hit as an element of the list.

import { thumbnail } from "./api.js";
import { button, count, element, folderOf, icon, nameOf, outline, relation, visible } from "./dom.js";
import { ROW } from "./offers.js";

// A row shares its height, so extreme shapes are framed: no picture is cut.
const NARROWEST = 0.6;
const WIDEST = 2.4;
const USUAL = 4 / 3; // of a picture whose size is not known yet
const AT_ONCE = 16; // pictures of the first screen, which are not waited for until they come into view
const SIZES = [128, 256, 512, 1024]; // those that the server makes
const GROWN = 1.1; // rows are a little higher than asked, so that they end at the edge

// Return the least size of thumbnails, in pixels of the longer side, that is sharp in a row of a height.
function sharp(row, of) {
  const wanted = row * GROWN * Math.max(1, Math.min(of ?? USUAL, WIDEST)) * Math.min(devicePixelRatio, 2);
  return SIZES.find((size) => size >= wanted) ?? SIZES.at(-1);
}

// Make the element of a hit; one behind the first `likely` is drawn behind a line.
// `row` is the height of a row in pixels. `act` has open, more, less and select, each called with the hit and the event.
export function tile(hit, { collection, row, act, selected, at, likely = null }) {
  const named = nameOf(hit.path ?? "");
  const score = hit.score === undefined || hit.score === null ? "" : hit.score.toFixed(3);
  const copies = hit.n_duplicates ?? 0;
  const image = element("img", {
    alt: "", decoding: "async", draggable: "false", loading: at < AT_ONCE ? "eager" : "lazy", fetchpriority: at < 4 ? "high" : null,
  });
  const frame = element(
    "a",
    {
      class: "frame", tabindex: "-1", href: `?in=${encodeURIComponent(collection)}&open=${hit.id}`, draggable: "true",
      "aria-label": [named, score && `score ${score}`, relation(hit), copies && count(copies, "copy", "copies"), moment(hit)].filter(Boolean).join(", "),
      "aria-keyshortcuts": "x + -",
      on: {
        click: (event) => {
          if (event.ctrlKey || event.metaKey || event.button !== 0) return; // a tab of its own
          event.preventDefault();
          if (event.shiftKey) act.select(hit, event);
          else act.open(hit, event);
        },
        dragstart: (event) => {
          event.dataTransfer.setData(ROW, String(hit.id));
          event.dataTransfer.effectAllowed = "copy";
          event.dataTransfer.setDragImage(image, 20, 20);
        },
      },
    },
    image,
    outline(hit, ratio(hit)),
  );
  const item = element(
    "li",
    { data: { id: hit.id }, class: [selected && "selected", unlikely(at, likely)].filter(Boolean).join(" ") || null },
    frame,
    element(
      "div",
      { class: "acts" },
      button(`Select ${named}`, "check", (event) => act.select(hit, event), { class: "check", tabindex: "-1", "aria-pressed": String(selected), title: "Select (x)" }),
      button(`Less like ${named}`, "less", (event) => act.less(hit, event), { class: "less", tabindex: "-1", title: "Less like this (−)" }),
      button(`More like ${named}`, "more", (event) => act.more(hit, event), { class: "more", tabindex: "-1", title: "More like this (+)" }),
    ),
    element(
      "p",
      { class: "facts", title: visible(hit.path ?? "") },
      element("span", { class: "name" }, element("bdi", {}, named)),
      moment(hit) ? element("span", { class: "moment" }, moment(hit)) : null,
      byName(hit),
      relation(hit) ? element("span", { class: `relation ${hit.relation}` }, relation(hit)) : null,
      score ? element("span", { class: "score" }, score) : null,
    ),
  );
  if (copies > 0) {
    item.classList.add("stacked");
    item.append(
      button(`${count(copies, "copy", "copies")} of ${named}`, "copies", (event) => act.open(hit, event), {
        class: "copies-badge", tabindex: "-1", title: hit.duplicates?.map(visible).join("\n") || null,
      }),
    );
    item.lastElementChild.append(`+${copies}`);
  }
  shape(item, ratio(hit));
  image.addEventListener("load", () => {
    image.classList.add("shown");
    if (ratio(hit) === null) shape(item, image.naturalWidth / image.naturalHeight);
  });
  image.addEventListener("error", () => image.replaceWith(element("span", { class: "fault" }, "not shown")));
  const size = sharp(row, ratio(hit));
  image.src = hit.thumbnail ? `${hit.thumbnail}${hit.thumbnail.includes("?") ? "&" : "?"}size=${size}` : thumbnail(collection, hit.id, size);
  return item;
}

function unlikely(at, likely) {
  if (likely === null || at < likely) return "";
  return at === likely ? "unlikely behind-line" : "unlikely";
}

function ratio(hit) {
  const width = hit.width ?? hit.columns?.width;
  const height = hit.height ?? hit.columns?.height;
  return width > 0 && height > 0 ? width / height : null;
}

function shape(item, of) {
  item.style.setProperty("--shape", Math.min(Math.max(of ?? USUAL, NARROWEST), WIDEST).toFixed(3));
}

function moment(hit) {
  const said = /#t=(\d+(?:\.\d+)?)$/.exec(hit.path ?? "");
  if (!said) return "";
  const seconds = Number(said[1]);
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

// Say what had the words, of a hit that is there because of its name.
function byName(hit) {
  if (!hit.matched?.length || hit.matched.includes("image")) return null;
  return element("span", { class: "matched" }, `by ${hit.matched.map(visible).join(", ")}`);
}
