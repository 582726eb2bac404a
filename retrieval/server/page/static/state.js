// Hold the one query that the page shows, keep it in the address, and tell those who draw it when it changes.

import { fromSearch, same, toSearch } from "./query.js";

const listeners = [];
let current = fromSearch(location.search);
let typing = false; // whether the newest entry of the history is words that are still being typed

export const query = () => current;

export const isTyping = () => typing;

// Call `listener(query, before)` after each change.
export function subscribe(listener) {
  listeners.push(listener);
}

// Change the query. Words that are being typed (`typed`) share one entry of the history; anything else adds one,
// unless it should take the place of the newest (`replace`).
export function change(patch, { typed = false, replace = false } = {}) {
  const next = { ...current, ...patch };
  if (same(next, current) && next.open === current.open) return;
  const over = replace || (typed && typing);
  write(next, over);
  typing = typed || (typing && replace);
  set(next);
}

// End an entry of the history: what is typed from now on is a new query.
export function settle() {
  typing = false;
}

// Open the details of a row, or close them: closing goes back where opening had gone forward.
export function open(id) {
  if (id === null && history.state?.opened) history.back();
  else if (id === null) change({ open: null }, { replace: true });
  else if (current.open === null) change({ open: id });
  else change({ open: id }, { replace: true });
}

function write(next, over) {
  const search = toSearch(next);
  const address = search ? `./?${search}` : "./";
  const opened = next.open !== null && (over ? (history.state?.opened ?? false) : current.open === null);
  if (over) history.replaceState({ ...history.state, opened }, "", address);
  else history.pushState({ opened }, "", address);
}

function set(next) {
  const before = current;
  current = next;
  for (const listener of listeners) listener(current, before);
}

addEventListener("popstate", () => {
  typing = false;
  set(fromSearch(location.search));
});
