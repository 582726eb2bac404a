// The query: what the box, the chips and the filters say. It lives in the address, so that going back goes back.
//
// A query is {collection, words, terms, under, glob, least, columns, condition, check, open}. A term is
// {kind: "words" | "id" | "image", value, weight, region}: value is words, a row's id, or the name under which
// pictures.js keeps a picture that was dropped; region is [x, y, width, height] as shares of the upright picture.

export const empty = (collection = "") => ({
  collection,
  words: "",
  terms: [],
  under: "",
  glob: "",
  least: "",
  columns: {},
  condition: "",
  check: false,
  open: null,
});

const LISTED = ["under", "glob", "least", "condition"];

export const asks = (query) => query.words.trim() !== "" || query.terms.some((term) => term.weight !== 0);

// Say whether hits can be compared with the query's picture: it has one, and only one.
export const isComparable = (query) => query.terms.filter((term) => term.kind !== "words" && term.weight > 0).length === 1;

export const same = (one, other) => toSearch({ ...one, open: null }) === toSearch({ ...other, open: null });

// Return how many filters narrow a query.
export const filters = (query) =>
  LISTED.filter((name) => query[name] !== "").length + Object.keys(query.columns).length;

// Return the part of an address behind its question mark.
export function toSearch(query) {
  const written = new URLSearchParams();
  if (query.collection) written.set("in", query.collection);
  if (query.words.trim()) written.set("q", query.words.trim());
  for (const term of query.terms) {
    const region = term.region ? term.region.map((share) => Number(share.toFixed(4))).join(",") : "";
    written.append("t", [term.weight, term.kind, region, term.value].join(":"));
  }
  for (const name of LISTED) if (query[name] !== "") written.set(name, query[name]);
  for (const [name, wanted] of Object.entries(query.columns)) {
    if (wanted.values) for (const value of wanted.values) written.append(`is.${name}`, value);
    if (wanted.from) written.set(`from.${name}`, wanted.from);
    if (wanted.to) written.set(`to.${name}`, wanted.to);
    if (wanted.holds) written.set(`holds.${name}`, wanted.holds);
  }
  if (query.check) written.set("check", "1");
  if (query.open !== null) written.set("open", query.open);
  return written.toString();
}

// Read what toSearch wrote. An address may come from anywhere, so what does not parse is left out.
export function fromSearch(text) {
  const read = new URLSearchParams(text);
  const query = empty(read.get("in") ?? "");
  query.words = read.get("q") ?? "";
  query.terms = read.getAll("t").map(term).filter(Boolean);
  for (const name of LISTED) query[name] = read.get(name) ?? "";
  if (!Number.isFinite(Number(query.least))) query.least = "";
  for (const [key, value] of read) {
    const [, what, name] = /^(is|from|to|holds)\.(.+)$/s.exec(key) ?? [];
    if (!name) continue;
    const wanted = (query.columns[name] ??= {});
    if (what === "is") (wanted.values ??= []).push(value);
    else wanted[what] = value;
  }
  query.check = read.get("check") === "1";
  const open = read.get("open");
  query.open = open !== null && /^\d{1,15}$/.test(open) ? Number(open) : null;
  return query;
}

function term(text) {
  const parsed = /^(-?\d+(?:\.\d+)?):(words|id|image):([^:]*):(.+)$/s.exec(text);
  if (!parsed) return null;
  const [, weight, kind, shares, written] = parsed;
  if (kind === "id" && !/^\d{1,15}$/.test(written)) return null;
  const region = shares ? shares.split(",").map(Number) : null;
  if (region && !fits(region)) return null;
  return { kind, weight: Number(weight), region, value: kind === "id" ? Number(written) : written };
}

function fits(region) {
  const [x, y, width, height] = region;
  return (
    region.length === 4 &&
    region.every((share) => share >= 0 && share <= 1) &&
    width > 0 &&
    height > 0 &&
    x + width <= 1.001 &&
    y + height <= 1.001
  );
}

// Return what the server is asked. `encoded` gives the base64 of a picture by its name.
export async function toBody(query, types, { k, cursor, encoded }) {
  const queries = [];
  if (query.words.trim()) queries.push({ text: query.words.trim() });
  for (const term of query.terms) {
    if (term.weight === 0) continue;
    const part = { weight: term.weight };
    if (term.kind === "words") part.text = term.value;
    else if (term.kind === "id") part.id = term.value;
    else part.image = await encoded(term.value);
    if (term.region) part.region = term.region;
    queries.push(part);
  }
  const body = { queries, k };
  if (query.collection) body.collection = query.collection;
  if (query.under) body.under = query.under;
  if (query.glob) body.glob = query.glob;
  if (query.least !== "" && Number.isFinite(Number(query.least))) body.min_score = Number(query.least);
  const where = condition(query, types);
  if (where) body.where = where;
  if (query.check && isComparable(query)) body.verify = true;
  if (cursor) body.cursor = cursor;
  return body;
}

// Return the filters over columns as one condition in SQL; `types` has the type of each column.
export function condition(query, types) {
  const parts = Object.entries(query.columns).flatMap(([name, wanted]) => column(name, wanted, types.get(name)));
  if (query.condition.trim()) parts.push(`(${query.condition.trim()})`);
  return parts.join(" AND ");
}

function column(name, wanted, type) {
  const named = `"${name.replaceAll('"', '""')}"`;
  const parts = [];
  if (wanted.values?.length) parts.push(`${named} IN (${wanted.values.map((value) => literal(value, type)).join(", ")})`);
  if (wanted.holds) parts.push(`contains(lower(${named}), lower(${quoted(wanted.holds)}))`);
  if (wanted.from) parts.push(`${named} >= ${literal(wanted.from, type)}`);
  if (wanted.to && type === "time") parts.push(`${named} < ${quoted(dayAfter(wanted.to))}`); // that day included
  else if (wanted.to) parts.push(`${named} <= ${literal(wanted.to, type)}`);
  return parts;
}

const quoted = (text) => `'${String(text).replaceAll("'", "''")}'`;

function literal(value, type) {
  if ((type === "integer" || type === "number") && Number.isFinite(Number(value))) return String(Number(value));
  if (type === "boolean") return value === "true" ? "TRUE" : "FALSE";
  return quoted(value);
}

function dayAfter(date) {
  const day = new Date(`${date}T00:00:00Z`);
  if (Number.isNaN(day.getTime())) return date;
  day.setUTCDate(day.getUTCDate() + 1);
  return day.toISOString().slice(0, 10);
}
