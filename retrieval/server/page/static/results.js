// The list of hits: ask, draw, go on when its end comes near, and move about in it by keys.

import * as api from "./api.js";
import * as pictures from "./pictures.js";
import * as selection from "./selection.js";
import { announce, byId, count, grouped } from "./dom.js";
import { hush, say } from "./notice.js";
import { asks, condition, filters, toBody, toSearch } from "./query.js";
import { isTyping, query } from "./state.js";
import { tile } from "./tile.js";

const PAGE = 60; // hits that are asked for at once
const REMEMBERED = 12; // answers that going back finds as they were
const PATIENCE = 800; // milliseconds after which words that are still being typed may be found fault with
const SLOW = 250; // milliseconds after which somebody should see that something happens
const MOST_AT_START = 90; // pictures that are shown before anything is asked

const list = byId("hits");
const status = byId("count");
const foot = byId("foot");
const answers = new Map(); // the query's address → its answer so far
let shown = null; // the answer on the page: {key, hits, ids, next, generation, searched, note, loading}
let running = new AbortController();
let last = null; // the hit that was selected last, where a range begins
let act = {};
let known = { columns: new Map(), collection: null };

// `actions` has open, more, less and renew, which learns about a changed collection. Selecting is this module's own.
export function start(actions) {
  act = { ...actions, select };
  list.addEventListener("keydown", onKey);
  list.addEventListener("focusin", (event) => rove(event.target.closest("li"), false));
  new IntersectionObserver(
    (entries) => entries.some((entry) => entry.isIntersecting) && goOn(),
    { rootMargin: "1400px" },
  ).observe(foot);
}

// Tell what is known of the collection: {name, images, generation, …}, and a Map of its columns' types.
export function about(collection, columns) {
  known = { collection, columns };
}

// Forget the pictures that were shown before anything was asked, so that others are.
export function forget() {
  for (const [key, answer] of answers) if (answer.overview) answers.delete(key);
  if (shown?.overview) shown = null;
}

export const hits = () => shown?.hits ?? [];

export const generation = () => shown?.generation ?? null;

const keyOf = (now) => toSearch({ ...now, open: null });

// Show what the query finds. Nothing is asked if it is on the page already, or was a short while ago.
export async function show(now, { fresh = false } = {}) {
  const key = keyOf(now);
  if (fresh) answers.clear();
  else if (shown?.key === key) return;
  if (shown) shown.scroll = scrollY;
  running.abort();
  running = new AbortController();
  const { signal } = running;
  hush("fault");
  const before = answers.get(key);
  if (before) {
    draw(before);
    scrollTo({ top: before.scroll ?? 0, behavior: "instant" });
    return;
  }
  const slow = setTimeout(() => document.body.classList.add("busy"), SLOW);
  try {
    const answer = await begun(now, key, signal);
    if (signal.aborted) return;
    remember(answer);
    draw(answer);
    if (!fresh) scrollTo({ top: 0, behavior: "instant" });
  } catch (error) {
    if (isTyping()) await new Promise((resolve) => setTimeout(resolve, PATIENCE));
    if (!signal.aborted) failed(error, key);
  } finally {
    clearTimeout(slow);
    if (!signal.aborted) document.body.classList.remove("busy");
  }
}

async function begun(now, key, signal) {
  if (!asks(now)) return overview(now, key, signal);
  const answer = await api.search(await toBody(now, known.columns, { k: PAGE, encoded: pictures.encoded }), signal);
  return {
    key,
    hits: answer.hits,
    ids: new Set(answer.hits.map((hit) => hit.id)),
    next: answer.next,
    generation: answer.generation,
    searched: answer.searched,
    unknown: answer.unknown_words ?? [],
    likely: answer.likely ?? null,
  };
}

// Show pictures of the collection where nothing is asked: all that the filters allow, or some of all.
async function overview(now, key, signal) {
  const fill = Math.ceil((innerWidth * innerHeight) / rowHeight() ** 2 / 1.3);
  const drawn = filters(now) === 0 ? { k: Math.min(fill, MOST_AT_START), order: "random" } : {};
  const found = await listed(now, { k: PAGE, ...drawn }, signal);
  const ids = new Set(found.hits.map((hit) => hit.id));
  return { key, ...found, ids, unknown: [], overview: true };
}

// Return images that the filters of a query allow, as an answer has hits.
async function listed(now, asked, signal) {
  const where = condition(now, known.columns);
  const found = await api.listing(now.collection, { under: now.under, glob: now.glob, where, ...asked }, signal);
  const next = asked.order === "random" ? null : found.next;
  return { hits: found.images, next, generation: found.generation, searched: found.total };
}

function remember(answer) {
  answers.delete(answer.key);
  answers.set(answer.key, answer);
  if (answers.size > REMEMBERED) answers.delete(answers.keys().next().value);
}

function failed(error, key) {
  shown = { key, hits: [], ids: new Set(), next: null, generation: null };
  list.replaceChildren();
  foot.textContent = "";
  status.textContent = "";
  say(error.message);
}

function draw(answer) {
  shown = answer;
  last = null;
  const held = list.contains(document.activeElement);
  list.replaceChildren(...made(answer.hits, 0, answer.likely));
  const first = list.firstElementChild?.querySelector("a");
  first?.setAttribute("tabindex", "0");
  if (held) (first ?? byId("words")).focus({ preventScroll: true }); // the hit that had the cursor is gone
  tell();
}

// `likely` of all hits are likely what was asked; null where that is not known.
function made(hits, from, likely = null) {
  const row = rowHeight();
  const { collection } = query();
  return hits.map((hit, at) => tile(hit, { collection, row, act, selected: selection.has(hit.id), at: from + at, likely }));
}

function rowHeight() {
  return Number.parseFloat(getComputedStyle(list).getPropertyValue("--row")) || 196;
}

function tell() {
  const { hits: found, next, searched, unknown = [], overview: only } = shown;
  const narrowed = filters(query()) > 0;
  let text;
  if (only && (searched || !narrowed)) text = searched ? count(searched, "picture") : "No pictures";
  else if (found.length === 0) text = narrowed ? "Nothing qualifies. Fewer filters may help." : "Nothing qualifies.";
  else if (next) text = `${count(searched, "picture")}, best first`;
  else text = ended(shown);
  if (only && query().least) text += " · the least score counts once you search";
  text += line(shown);
  if (unknown.length) text += ` · never learned: ${unknown.join(", ")}`;
  status.textContent = text;
  if (!only) announce(found.length ? `${count(found.length, "hit")}, ${text}` : text);
  foot.textContent = "";
}

// Add the next hits, unless they are on their way.
async function goOn() {
  const answer = shown;
  if (!answer?.next || answer.loading) return;
  answer.loading = true;
  const { signal } = running;
  foot.textContent = "…";
  try {
    const more = answer.overview ? await listed(query(), { k: PAGE, after: answer.next }, signal) : await following(answer, signal);
    if (signal.aborted || shown !== answer) return;
    const fresh = more.hits.filter((hit) => !answer.ids.has(hit.id));
    for (const hit of fresh) answer.ids.add(hit.id);
    answer.likely = more.likely ?? answer.likely;
    list.append(...made(fresh, answer.hits.length, answer.likely));
    answer.hits.push(...fresh);
    answer.next = more.next;
    foot.textContent = "";
    tellEnd(answer);
  } catch (error) {
    if (signal.aborted) return;
    answer.next = null;
    foot.textContent = error.message;
  } finally {
    answer.loading = false;
  }
  // The end may still be near, and then nothing would call again.
  if (answer.next && foot.getBoundingClientRect().top < innerHeight + 1400) goOn();
}

async function following(answer, signal) {
  const body = await toBody(query(), known.columns, { k: PAGE, cursor: answer.next, encoded: pictures.encoded });
  return api.search(body, signal).catch((error) => again(error, answer, signal));
}

// A collection that changed keeps its old generations for a while only: ask anew for as many as are shown, and for more.
async function again(error, answer, signal) {
  if (error.status !== 410) throw error;
  const k = Math.min(1000, answer.hits.length + PAGE);
  const more = await api.search(await toBody(query(), known.columns, { k, encoded: pictures.encoded }), signal);
  changed();
  return { ...more, next: more.hits.every((hit) => answer.ids.has(hit.id)) ? null : more.next };
}

function ended({ hits: found, searched }) {
  return `${found.length < searched ? `best ${grouped(found.length)} of ` : ""}${count(searched, "picture")}`;
}

// Say what lies before and behind the line between likely hits and others.
function line({ hits: found, likely = null }) {
  if (likely === null || likely >= found.length) return "";
  return likely ? ` · ${count(likely, "match", "matches")}, then likely nothing` : " · likely nothing matches";
}

function tellEnd(answer) {
  if (!answer.next && !answer.overview) status.textContent = ended(answer) + line(answer);
}

// Offer to ask again, after the collection has changed.
export function changed() {
  say("The collection has changed.", { kind: "news", label: "Show its newest state", act: showNewest });
}

async function showNewest() {
  await act.renew();
  await show(query(), { fresh: true });
}

// Draw the thumbnails anew, after their size has changed.
export function resize() {
  if (shown) draw(shown);
}

// Selection: Shift takes everything between the hit and the one before.
function select(hit, event) {
  const on = !selection.has(hit.id);
  let range = [hit];
  if (event?.shiftKey && last !== null) {
    const [from, to] = [last, hit].map((one) => shown.hits.findIndex((other) => other.id === one.id)).sort((a, b) => a - b);
    if (from >= 0) range = shown.hits.slice(from, to + 1);
  }
  last = hit;
  selection.toggle(range, event?.shiftKey ? true : on);
}

export function paint() {
  for (const item of list.children) {
    const on = selection.has(Number(item.dataset.id));
    item.classList.toggle("selected", on);
    item.querySelector(".check").setAttribute("aria-pressed", String(on));
  }
}

// One hit at a time can be reached by Tab, with its buttons; the arrows go from one to the next.
function rove(item, focus = true) {
  if (!item) return;
  for (const other of list.querySelectorAll("[tabindex='0']")) other.setAttribute("tabindex", "-1");
  for (const one of item.querySelectorAll("a, button")) one.setAttribute("tabindex", "0");
  if (!focus) return;
  item.querySelector("a").focus({ preventScroll: true });
  item.scrollIntoView({ block: "nearest" });
}

// Put the cursor on a hit, such as the one whose details were just closed.
export function focusOn(id) {
  rove([...list.children].find((item) => Number(item.dataset.id) === id));
}

function onKey(event) {
  const item = event.target.closest("li");
  if (!item || event.ctrlKey || event.metaKey || event.altKey) return;
  const hit = shown.hits.find((one) => one.id === Number(item.dataset.id));
  const onFrame = event.target.matches("a");
  const to = { ArrowRight: item.nextElementSibling, ArrowLeft: item.previousElementSibling, Home: list.firstElementChild, End: list.lastElementChild }[event.key];
  if (to) rove(to);
  else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const next = neighbour(item, event.key === "ArrowDown" ? 1 : -1);
    if (next) rove(next);
    else if (event.key === "ArrowUp") byId("words").focus();
  } else if (event.key === "x" || (event.key === " " && onFrame)) select(hit, event);
  else if (event.key === "+" || event.key === "=") act.more(hit, event);
  else if (event.key === "-") act.less(hit, event);
  else return;
  event.preventDefault();
}

// Return the hit that is nearest in the next row, or the one before.
function neighbour(item, direction) {
  const from = item.getBoundingClientRect();
  const middle = from.left + from.width / 2;
  let best = null;
  let row = null;
  for (let other = step(item, direction); other; other = step(other, direction)) {
    const box = other.getBoundingClientRect();
    if (Math.abs(box.top - from.top) < 4) continue;
    row ??= box.top;
    if (Math.abs(box.top - row) > 4) break;
    const far = Math.abs(box.left + box.width / 2 - middle);
    if (!best || far < best.far) best = { far, other };
  }
  return best?.other ?? null;
}

const step = (item, direction) => (direction > 0 ? item.nextElementSibling : item.previousElementSibling);
