// Ask the server. Every address is relative, so the page works under any prefix.

export class Refused extends Error {
  constructor(status, detail, retryAfter) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

const LONGEST_WAIT = 4; // seconds that a busy server is waited for before its answer is shown
const TRIES = 3;

async function ask(path, { body, signal, method = body === undefined ? "GET" : "POST" } = {}) {
  for (let tried = 1; ; tried += 1) {
    const answer = await fetch(path, {
      method,
      signal,
      credentials: "same-origin",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (answer.ok) return answer;
    if (answer.status === 401) location.reload(); // the server answers with its form for the token
    const error = await refusal(answer);
    if (answer.status !== 429 || tried === TRIES || error.retryAfter > LONGEST_WAIT) throw error;
    await pause(error.retryAfter * 1000, signal);
  }
}

async function refusal(answer) {
  let detail = "";
  try {
    const problem = await answer.json();
    detail = problem.detail || problem.title || "";
  } catch {
    // An answer without JSON, such as a proxy's: its number says what there is to say.
  }
  const retryAfter = Number(answer.headers.get("Retry-After")) || 1;
  return new Refused(answer.status, detail || `The server answered ${answer.status}.`, retryAfter);
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

const of = (collection, ...rest) => ["v1/collections", encodeURIComponent(collection), ...rest].join("/");
const json = async (path, options) => (await ask(path, options)).json();

export const collections = async () => (await json("v1/collections")).collections;
export const search = (body, signal) => json("v1/search", { body, signal });
export const columns = async (collection) => (await json(of(collection, "columns"))).columns;
export const facts = (collection, id, signal) => json(of(collection, "images", id), { signal });
// Return images without a query: {images, next, total, generation}. `asked` has under, glob, where, k, after, order.
export async function listing(collection, asked, signal) {
  const given = Object.entries(asked).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return json(`${of(collection, "images")}?${new URLSearchParams(given)}`, { signal });
}

export const original = (collection, id) => of(collection, "images", id, "original");
export const thumbnail = (collection, id, size) => `${of(collection, "images", id, "thumbnail")}?size=${size}`;

export async function folders(collection, under) {
  return (await json(`${of(collection, "folders")}?${new URLSearchParams({ under })}`)).folders;
}

// Return a file: the paths of images, one a line, or a zip of them.
export async function download(collection, ids, what) {
  return (await ask(of(collection, "download"), { body: { ids, what } })).blob();
}
