// Draw a rectangle over a picture, by pointer or by keys.

import { announce, element } from "./dom.js";

const LEAST = 8; // pixels: less is a click
const STEP = 0.02; // of the picture, a key
const START = [0.25, 0.25, 0.5, 0.5];

// Let a part of the picture in `canvas` be drawn. `done(region)` is called with [x, y, width, height] as shares of the
// picture when somebody asks for the part. Returns {begin, clear}: `begin` shows a part to move by keys.
export function drawable(canvas, done) {
  let region = null;
  let anchor = null;
  let grip = null; // the part's place when it was taken hold of, if it is being moved
  const search = element("button", { type: "button", class: "primary", on: { click: () => done(region) } }, "Search this part");
  const box = element(
    "div",
    {
      class: "part-box", tabindex: "0", role: "application", hidden: true,
      "aria-roledescription": "part of the picture", on: { keydown: onKey },
    },
  );
  const bar = element("div", { class: "part-bar", hidden: true, on: { keydown: (event) => event.key === "Escape" && drop(event) } }, search);
  canvas.tabIndex = -1; // the cursor stays here when the part goes, so that the keys go on
  canvas.append(box, bar);

  function show(next) {
    region = next;
    box.hidden = next === null;
    bar.hidden = next === null || anchor !== null;
    if (next === null) return;
    const [x, y, width, height] = next;
    for (const part of [box, bar]) {
      part.style.setProperty("--x", x);
      part.style.setProperty("--y", y);
      part.style.setProperty("--w", width);
      part.style.setProperty("--h", height);
    }
    bar.classList.toggle("above", y + height > 0.85);
    box.setAttribute("aria-label", `Part: ${spoken(next)}. Arrows move it, with Shift they resize it, Enter searches.`);
  }

  // Take the part away; what is around it stays open.
  function drop(event) {
    event.preventDefault();
    event.stopPropagation();
    canvas.focus({ preventScroll: true });
    show(null);
  }

  function place(event) {
    const area = canvas.getBoundingClientRect();
    return [share((event.clientX - area.left) / area.width), share((event.clientY - area.top) / area.height)];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("button, a")) return;
    anchor = place(event);
    grip = event.target === box ? region : null;
    canvas.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (anchor === null) return;
    const [x, y] = place(event);
    if (grip) show(moved(grip, x - anchor[0], y - anchor[1]));
    else if (large([x - anchor[0], y - anchor[1]])) {
      show([Math.min(x, anchor[0]), Math.min(y, anchor[1]), Math.abs(x - anchor[0]), Math.abs(y - anchor[1])]);
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    if (anchor === null) return;
    const [x, y] = place(event);
    const clicked = !large([x - anchor[0], y - anchor[1]]);
    anchor = null;
    if (clicked && !grip) show(null);
    else show(region);
    grip = null;
    if (region && !clicked) search.focus({ preventScroll: true });
  });
  canvas.addEventListener("pointercancel", () => {
    anchor = grip = null;
    show(region);
  });

  function large([width, height]) {
    return Math.abs(width) * canvas.clientWidth > LEAST && Math.abs(height) * canvas.clientHeight > LEAST;
  }

  function onKey(event) {
    const [dx, dy] = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key] ?? [];
    if (dx !== undefined) {
      show(event.shiftKey ? resized(region, dx, dy) : moved(region, dx, dy));
      announce(spoken(region));
    } else if (event.key === "Enter") done(region);
    else if (event.key === "Escape") return drop(event);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  return {
    begin(from = START) {
      show(from ?? START);
      box.focus({ preventScroll: true });
    },
    clear: () => show(null),
  };
}

const share = (number) => Math.max(0, Math.min(1, number));

function moved([x, y, width, height], dx, dy) {
  return [Math.max(0, Math.min(1 - width, x + dx)), Math.max(0, Math.min(1 - height, y + dy)), width, height];
}

function resized([x, y, width, height], dx, dy) {
  return [x, y, Math.max(0.04, Math.min(1 - x, width + dx)), Math.max(0.04, Math.min(1 - y, height + dy))];
}

function spoken([x, y, width, height]) {
  const percent = (number) => `${Math.round(number * 100)} %`;
  return `${percent(width)} wide and ${percent(height)} high, ${percent(x)} from the left, ${percent(y)} from the top`;
}
