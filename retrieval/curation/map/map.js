"use strict";
// Show a map of pictures: pan, zoom, colours, words, and what lies behind each dot.
(async () => {
  const $ = (id) => document.getElementById(id);
  const SIDE = 65535, CELL = 32, ACROSS = 32, PER_SHEET = ACROSS * ACROSS, OTHER = 254, MISSING = 255;
  const GRID = 11, APART = 4, CROWDED = 12, SPRITE = 42, LARGEST = 72, MOST_SHEETS = 64, LISTED = 30, NAMES = 40, REACH = 14;
  const told = document.body.dataset;

  // --- what the file holds -------------------------------------------------------------------------------------------------
  function bytesOf(id) {
    const text = atob($(id).textContent.trim());
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }
  async function unpacked(id) {
    const stream = new Blob([bytesOf(id)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }
  const facts = JSON.parse(new TextDecoder().decode(await unpacked("facts")));
  const buffer = await unpacked("numbers");
  let at = 0;
  function part(Kind, length) {
    const array = new Kind(buffer, at, length);
    at += array.byteLength;
    return array;
  }
  const n = facts.paths.length, words = facts.words, perWord = facts.per_word, near = facts.neighbors;
  const ids = part(Float64Array, n); // of a sharded collection they have more than 32 bits
  const wordRows = part(Uint32Array, words.length * perWord);
  const neighbors = part(Uint32Array, n * near);
  const xs = part(Uint16Array, n), ys = part(Uint16Array, n);
  const shapes = part(Uint8Array, n);
  const codes = facts.colorings.map(() => part(Uint8Array, n));
  const absent = new Set(facts.absent); // words that likely no image shows
  const wordAt = new Map(words.map((word, i) => [word.toLowerCase(), i]));
  const indexOf = new Map(Array.from(ids, (id, i) => [id, i]));
  const service = document.querySelector('meta[name="search-url"]')?.dataset;
  const searchUrl = document.querySelector('meta[name="search-url"]')?.content ?? "";

  // --- small pictures, decoded as they are needed ------------------------------------------------------------------------------
  const sheets = new Map(), coming = new Set();
  function sheetOf(i) {
    const number = Math.floor(i / PER_SHEET), found = sheets.get(number);
    if (found) { // the last used one is the last to go
      sheets.delete(number);
      sheets.set(number, found);
      return found;
    }
    if (!coming.has(number) && $(`sheet-${number}`)) {
      coming.add(number);
      setTimeout(async () => {
        sheets.set(number, await createImageBitmap(new Blob([bytesOf(`sheet-${number}`)], { type: "image/webp" })));
        coming.delete(number);
        for (const [old, bitmap] of sheets) {
          if (sheets.size <= MOST_SHEETS) break;
          sheets.delete(old);
          bitmap.close();
        }
        redraw();
        for (const small of document.querySelectorAll("canvas.small")) paint(small);
      });
    }
    return null;
  }
  function sizeOf(i, most) {
    const shape = 2 ** ((shapes[i] - 128) / 64);
    return shape > 1 ? [most, most / shape] : [most * shape, most];
  }
  function drawSprite(pen, i, x, y, width, height) {
    const sheet = sheetOf(i), cell = i % PER_SHEET;
    if (!sheet) return false;
    pen.drawImage(sheet, (cell % ACROSS) * CELL, Math.floor(cell / ACROSS) * CELL, CELL, CELL, x, y, width, height);
    return true;
  }
  function paint(small) {
    const i = Number(small.dataset.row), most = small.width;
    const [width, height] = sizeOf(i, most);
    const pen = small.getContext("2d");
    if (shapes[i]) drawSprite(pen, i, (most - width) / 2, (most - height) / 2, width, height);
  }

  // --- colours -----------------------------------------------------------------------------------------------------------------
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  let coloring = 0, palette = new Uint32Array(256), faint = 0, lamp = 0;
  const packed = ([r, g, b]) => (255 << 24 | b << 16 | g << 8 | r) >>> 0;
  const css = (colour) => `rgb(${colour & 255} ${colour >> 8 & 255} ${colour >> 16 & 255})`;
  function ofHue(hue, light) {
    const f = (k) => {
      const a = 0.62 * Math.min(light, 1 - light), m = (k + hue / 30) % 12;
      return Math.round(255 * (light - a * Math.max(-1, Math.min(m - 3, 9 - m, 1))));
    };
    return [f(0), f(8), f(4)];
  }
  function recolour() {
    const chosen = facts.colorings[coloring];
    for (let i = 0; i < 256; i++) {
      let colour;
      if (i === MISSING || i === OTHER || !chosen) colour = dark.matches ? [96, 92, 88] : [170, 166, 160];
      else if (chosen.ends) {
        const place = Math.min(i / 63, 1) * 4, low = Math.min(Math.floor(place), 3), share = place - low;
        colour = RAMP[low].map((value, c) => Math.round(value + share * (RAMP[low + 1][c] - value)));
      } else colour = ofHue((i * 137.508 + 20) % 360, (dark.matches ? 0.6 : 0.47) + (i % 3 - 1) * 0.09);
      palette[i] = packed(colour);
    }
    faint = packed(dark.matches ? [58, 55, 52] : [216, 212, 204]);
    lamp = packed(dark.matches ? [242, 160, 119] : [179, 71, 27]);
    legend();
    redraw();
  }
  function legend() {
    const chosen = facts.colorings[coloring], list = $("legend");
    list.replaceChildren();
    if (!chosen) return;
    if (chosen.ends) {
      const ramp = document.createElement("li");
      ramp.className = "ramp";
      const stops = RAMP.map((one) => `rgb(${one.join(" ")})`).join(", ");
      const bar = document.createElement("i");
      bar.style.background = `linear-gradient(to right, ${stops})`;
      ramp.append(chosen.ends[0], bar, chosen.ends[1]);
      list.append(ramp);
      return;
    }
    const counts = new Uint32Array(256);
    for (const code of codes[coloring]) counts[code]++;
    const shown = [...chosen.values.map((value, code) => [code, value]), [OTHER, "others"], [MISSING, "nothing known"]];
    for (const [code, value] of shown) {
      if (!counts[code]) continue;
      const button = document.createElement("button"), dot = document.createElement("i"), name = document.createElement("bdi");
      button.type = "button";
      button.dataset.code = code;
      dot.style.background = css(palette[code]);
      name.textContent = value;
      const number = document.createElement("span");
      number.textContent = counts[code].toLocaleString("en");
      button.append(dot, name, number);
      button.addEventListener("click", () => lightValue(code, value));
      const item = document.createElement("li");
      item.append(button);
      list.append(item);
    }
  }

  // --- the view ------------------------------------------------------------------------------------------------------------------
  const stage = $("stage"), dots = $("dots"), over = $("over");
  const dotPen = dots.getContext("2d"), pen = over.getContext("2d");
  let wide = 0, high = 0, dense = 1, scale = 1, left = 0, top = 0, image = null, pixels = null, waiting = false;
  let lit = null, order = null, chosenRow = -1, drawn = [];

  function resize() {
    const before = [wide, high];
    dense = Math.min(devicePixelRatio || 1, 2);
    wide = Math.max(stage.clientWidth, 1);
    high = Math.max(stage.clientHeight, 1);
    for (const canvas of [dots, over]) {
      canvas.width = Math.round(wide * dense);
      canvas.height = Math.round(high * dense);
    }
    image = dotPen.createImageData(dots.width, dots.height);
    pixels = new Uint32Array(image.data.buffer);
    if (!before[0]) fit();
    else move((wide - before[0]) / 2, (high - before[1]) / 2);
  }
  function extent(rows) {
    let box = [Infinity, Infinity, -Infinity, -Infinity];
    for (const i of rows) {
      box = [Math.min(box[0], xs[i]), Math.min(box[1], ys[i]), Math.max(box[2], xs[i]), Math.max(box[3], ys[i])];
    }
    return box;
  }
  const whole = (() => { // of all rows, without a million arrays
    let a = Infinity, b = Infinity, c = -Infinity, d = -Infinity;
    for (let i = 0; i < n; i++) {
      a = Math.min(a, xs[i]); b = Math.min(b, ys[i]); c = Math.max(c, xs[i]); d = Math.max(d, ys[i]);
    }
    return n ? [a, b, c, d] : [0, 0, SIDE, SIDE];
  })();
  function fit(box = whole) {
    const edge = 36, across = Math.max(box[2] - box[0], SIDE / 400), down = Math.max(box[3] - box[1], SIDE / 400);
    scale = Math.max(Math.min((wide - 2 * edge) / across, (high - 2 * edge) / down), 1e-4);
    left = wide / 2 - scale * (box[0] + box[2]) / 2;
    top = high / 2 - scale * (box[1] + box[3]) / 2;
    redraw();
  }
  function move(dx, dy) {
    left += dx;
    top += dy;
    redraw();
  }
  function zoom(factor, x = wide / 2, y = high / 2) {
    const least = Math.min(wide, high) / SIDE / 4, most = 4;
    const to = Math.min(Math.max(scale * factor, least), most);
    left = x - (x - left) * to / scale;
    top = y - (y - top) * to / scale;
    scale = to;
    redraw();
  }
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  }

  function dot(i, half, colour, width, height) {
    const x = Math.round((xs[i] * scale + left) * dense), y = Math.round((ys[i] * scale + top) * dense);
    if (x < half || y < half || x >= width - half || y >= height - half) return;
    for (let row = -half; row <= half; row++) {
      const reach = half < 2 ? half : Math.round(Math.sqrt((half + 0.3) ** 2 - row * row)), middle = (y + row) * width + x;
      for (let at = middle - reach; at <= middle + reach; at++) pixels[at] = colour;
    }
  }
  function draw() {
    const began = performance.now();
    const width = dots.width, height = dots.height, own = codes[coloring];
    const apart = SIDE * scale / Math.sqrt(Math.max(n, 1)); // distance of neighbouring dots, about
    const half = Math.round(Math.min(Math.max(apart / 6, 1), 4) * dense / 2 + 0.5);
    pixels.fill(0);
    for (let i = n - 1; i >= 0; i--) dot(i, lit ? Math.max(half - 1, 1) : half, lit ? faint : own ? palette[own[i]] : palette[MISSING], width, height);
    if (order) for (let r = order.length - 1; r >= 0; r--) dot(order[r], half + 1, own ? palette[own[order[r]]] : lamp, width, height);
    dotPen.putImageData(image, 0, 0);
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.clearRect(0, 0, wide, high);
    drawn = [];
    if ($("pictures").checked) sprites(own, apart);
    if (facts.groups.length && coloring === 0 && !lit) names();
    ring();
    told.view = [left, top, scale].map((value) => value.toFixed(4)).join(" ");
    told.drawn = drawn.length;
    told.drawTime = (performance.now() - began).toFixed(1);
  }
  function sprites(own, apart) {
    const room = apart < CROWDED && !lit ? 2 * APART : APART; // from afar dots are seen between pictures
    const across = Math.ceil(wide / GRID) + 2 * room, down = Math.ceil(high / GRID) + 2 * room;
    const taken = new Uint8Array(across * down);
    const rows = order ?? null, count = rows ? rows.length : n;
    const places = [];
    for (let r = 0; r < count; r++) {
      const i = rows ? rows[r] : r;
      if (!shapes[i]) continue;
      const x = xs[i] * scale + left, y = ys[i] * scale + top;
      if (x < 0 || y < 0 || x >= wide || y >= high) continue;
      const column = Math.floor(x / GRID) + room, line = Math.floor(y / GRID) + room;
      if (taken[line * across + column]) continue;
      for (let b = line - room + 1; b < line + room; b++) {
        taken.fill(1, b * across + column - room + 1, b * across + column + room);
      }
      places.push([i, x, y]);
    }
    const most = Math.min(Math.max(apart / 2, SPRITE), LARGEST);
    for (let p = places.length - 1; p >= 0; p--) {
      const [i, x, y] = places[p], [w, h] = sizeOf(i, most - 4);
      pen.fillStyle = css(own ? palette[own[i]] : lamp);
      pen.fillRect(x - w / 2 - 2, y - h / 2 - 2, w + 4, h + 4);
      drawSprite(pen, i, x - w / 2, y - h / 2, w, h);
      drawn.push([i, x - w / 2, y - h / 2, w, h]);
    }
  }
  function names() {
    const boxes = [];
    pen.font = "650 13px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    pen.lineWidth = 4;
    const ground = dark.matches ? "#131211" : "#fbfaf7", ink = dark.matches ? "#efebe4" : "#1d1b18";
    for (const group of facts.groups) {
      const x = group.x * scale + left, y = group.y * scale + top, half = pen.measureText(group.name).width / 2 + 6;
      if (x < 0 || y < 0 || x > wide || y > high || boxes.length >= NAMES) continue;
      if (boxes.some(([a, b, c]) => Math.abs(a - x) < c + half && Math.abs(b - y) < 20)) continue;
      boxes.push([x, y, half]);
      pen.strokeStyle = ground;
      pen.strokeText(group.name, x, y);
      pen.fillStyle = ink;
      pen.fillText(group.name, x, y);
    }
  }
  function ring() {
    if (chosenRow < 0) return;
    pen.strokeStyle = css(lamp);
    pen.lineWidth = 3;
    pen.beginPath();
    pen.arc(xs[chosenRow] * scale + left, ys[chosenRow] * scale + top, 26, 0, 7);
    pen.stroke();
  }

  // --- one picture ---------------------------------------------------------------------------------------------------------------
  function rowAt(x, y) {
    for (let p = drawn.length - 1; p >= 0; p--) {
      const [i, a, b, w, h] = drawn[p];
      if (x >= a && x <= a + w && y >= b && y <= b + h) return i;
    }
    let best = -1, least = REACH * REACH;
    for (let i = 0; i < n; i++) {
      if (lit && !lit.has(i)) continue;
      const dx = xs[i] * scale + left - x, dy = ys[i] * scale + top - y, far = dx * dx + dy * dy;
      if (far < least) [least, best] = [far, i];
    }
    return best;
  }
  function linkOf(i) {
    const own = facts.links[i];
    if (own !== undefined) return own;
    return facts.base === null ? "" : facts.base + facts.paths[i].split("/").map(encodeURIComponent).join("/");
  }
  function thumb(i) {
    const item = document.createElement("li"), button = document.createElement("button"), small = document.createElement("canvas");
    button.type = "button";
    button.title = facts.paths[i];
    button.setAttribute("aria-label", facts.paths[i]);
    small.className = "small";
    small.width = small.height = 64;
    small.dataset.row = i;
    button.append(small);
    button.addEventListener("click", () => choose(i, true));
    item.append(button);
    paint(small);
    return item;
  }
  function choose(i, go = false) {
    chosenRow = i;
    told.chosen = i < 0 ? "" : facts.paths[i];
    $("one").hidden = i < 0;
    if (i >= 0) {
      const link = linkOf(i), picture = $("picture"), open = $("open");
      $("path").textContent = facts.paths[i];
      picture.hidden = false;
      picture.alt = facts.paths[i];
      picture.removeAttribute("src");
      const address = service ? `${service.images}${ids[i]}/thumbnail?size=512` : link;
      picture.hidden = !address;
      if (address) picture.src = address;
      open.hidden = !link || Boolean(service);
      open.href = link || "#";
      $("known").replaceChildren(...facts.colorings.flatMap((one, c) => {
        const code = codes[c][i];
        if (one.ends || code >= OTHER) return [];
        const name = document.createElement("dt"), value = document.createElement("dd");
        name.textContent = one.name;
        value.textContent = one.values[code];
        return [name, value];
      }));
      $("near").replaceChildren(...Array.from(neighbors.subarray(i * near, (i + 1) * near), thumb));
      if (go) {
        const x = xs[i] * scale + left, y = ys[i] * scale + top;
        if (x < 40 || y < 40 || x > wide - 40 || y > high - 40) move(wide / 2 - x, high / 2 - y);
      }
    }
    redraw();
  }
  $("picture").addEventListener("error", () => { $("picture").hidden = true; });

  // --- what is lit ---------------------------------------------------------------------------------------------------------------
  function light(rows, text) {
    order = rows;
    lit = rows && new Set(rows);
    told.lit = rows ? rows.length : "";
    $("told").textContent = text;
    $("hits").replaceChildren(...(rows ? rows.slice(0, LISTED).map(thumb) : []));
    $("clear").hidden = !rows;
    $("found").hidden = !rows?.length;
    redraw();
  }
  function lightValue(code, value) {
    const rows = [];
    for (let i = 0; i < n; i++) if (codes[coloring][i] === code) rows.push(i);
    light(rows, `${rows.length.toLocaleString("en")} images: ${value}`);
  }
  function nearest(rows, words, nothing) {
    return `${nothing ? "Likely nothing matches. " : ""}The ${rows.length.toLocaleString("en")} images nearest to “${words}”.`;
  }
  let asking = 0;
  async function search(text) {
    const words = text.trim(), mine = ++asking;
    if (!words) return light(null, "");
    if (searchUrl) {
      try {
        const body = JSON.stringify({ collection: service.collection, text: words, k: 500, fold_duplicates: false });
        const answer = await fetch(searchUrl, { method: "POST", headers: { "Content-Type": "application/json" }, body, credentials: "same-origin" });
        const found = await answer.json();
        if (mine !== asking) return undefined;
        if (!answer.ok) return light([], found.detail ?? "The server gave no answer.");
        const rows = found.hits.map((hit) => indexOf.get(hit.id)).filter((i) => i !== undefined);
        return light(rows, nearest(rows, words, found.likely === 0));
      } catch {
        if (mine === asking) $("told").textContent = "The server does not answer; only words of the list are found.";
      }
    }
    const word = wordAt.get(words.toLowerCase());
    if (word !== undefined) {
      const rows = [...wordRows.subarray(word * perWord, (word + 1) * perWord)];
      return light(rows, nearest(rows, facts.words[word], absent.has(word)));
    }
    const small = words.toLowerCase(), rows = [];
    for (let i = 0; i < n; i++) if (facts.paths[i].toLowerCase().includes(small)) rows.push(i);
    const list = facts.words.length ? `“${words}” is not among the ${facts.words.length.toLocaleString("en")} words of this map. ` : "";
    return light(rows, `${list}${rows.length.toLocaleString("en")} paths contain it.`);
  }

  // --- hands ---------------------------------------------------------------------------------------------------------------------
  const touching = new Map();
  let moved = 0;
  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button")) return;
    stage.setPointerCapture(event.pointerId);
    touching.set(event.pointerId, [event.offsetX, event.offsetY]);
    moved = touching.size > 1 ? Infinity : 0;
    stage.classList.add("held");
  });
  stage.addEventListener("pointermove", (event) => {
    const before = touching.get(event.pointerId);
    if (!before) {
      if (event.target === over) over.title = touching.size ? "" : facts.paths[rowAt(event.offsetX, event.offsetY)] ?? "";
      return;
    }
    const now = [event.offsetX, event.offsetY];
    if (touching.size === 2) {
      const other = [...touching].find(([id]) => id !== event.pointerId)[1];
      const was = Math.hypot(before[0] - other[0], before[1] - other[1]), is = Math.hypot(now[0] - other[0], now[1] - other[1]);
      if (was && is) zoom(is / was, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else {
      moved += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
      move(now[0] - before[0], now[1] - before[1]);
    }
    touching.set(event.pointerId, now);
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    stage.addEventListener(kind, (event) => {
      if (!touching.delete(event.pointerId)) return;
      stage.classList.toggle("held", touching.size > 0);
      if (kind === "pointerup" && moved < 5) choose(rowAt(event.offsetX, event.offsetY));
    });
  }
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    zoom(Math.exp(-Math.max(-200, Math.min(200, event.deltaY * lines)) / 250), event.offsetX, event.offsetY);
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => zoom(2, event.offsetX, event.offsetY));
  const KEYS = {
    ArrowLeft: () => move(80, 0), ArrowRight: () => move(-80, 0), ArrowUp: () => move(0, 80), ArrowDown: () => move(0, -80),
    "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: () => fit(),
    "/": () => $("words").focus(),
    Escape: () => { $("words").value = ""; light(null, ""); choose(-1); },
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select");
    if (event.ctrlKey || event.metaKey || event.altKey || (typing && event.key !== "Escape")) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  $("in").addEventListener("click", () => zoom(1.6));
  $("out").addEventListener("click", () => zoom(1 / 1.6));
  $("fit").addEventListener("click", () => fit(order?.length ? extent(order) : whole));
  $("clear").addEventListener("click", KEYS.Escape);
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    search($("words").value);
  });
  $("words").addEventListener("change", () => search($("words").value));
  $("colour").addEventListener("change", (event) => {
    coloring = Number(event.target.value);
    recolour();
  });
  for (const [i, one] of facts.colorings.entries()) $("colour").append(new Option(one.name, i));
  $("colour").disabled = facts.colorings.length < 2;
  $("pictures").addEventListener("change", redraw);
  $("list").append(...words.map((word) => new Option(word)));
  dark.addEventListener("change", recolour);
  new ResizeObserver(resize).observe(stage);
  resize();
  recolour();
  told.ready = "yes";
})();
