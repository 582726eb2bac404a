// Keep the pictures that somebody dropped, pasted or took, in this browser only, under a name made from their bytes.
// The name stands in the address: going back, and reloading the page, find the picture again.

const LARGEST = 1600; // pixels of the longer side that is sent: more would not change what is found
const KEPT = 40; // pictures; the oldest are dropped

const memory = new Map(); // name → {blob, preview}

export async function add(file) {
  const blob = await smaller(file);
  const name = await fingerprint(blob);
  if (!memory.has(name)) {
    remember(name, blob);
    store(name, blob); // not waited for: the search needs it only in this page
  }
  return name;
}

// Return {blob, preview}, or null if this browser has never seen the picture.
export async function get(name) {
  if (!memory.has(name)) {
    const blob = await load(name);
    if (blob) remember(name, blob);
  }
  return memory.get(name) ?? null;
}

export async function encoded(name) {
  const picture = await get(name);
  if (!picture) throw new Error("A picture of this query is no longer in this browser. Remove its chip, and drop it again.");
  picture.base64 ??= await base64(picture.blob);
  return picture.base64;
}

function remember(name, blob) {
  memory.set(name, { blob, preview: URL.createObjectURL(blob) });
}

// Turn a picture upright and shrink it. One that this browser cannot read is sent as it is: the server may know it.
async function smaller(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return file;
  }
  const share = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
  if (share === 1) {
    bitmap.close();
    return file;
  }
  const canvas = new OffscreenCanvas(Math.round(bitmap.width * share), Math.round(bitmap.height * share));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.convertToBlob({ type: "image/webp", quality: 0.92 });
}

async function fingerprint(blob) {
  const hex = (byte) => byte.toString(16).padStart(2, "0");
  if (globalThis.crypto?.subtle) {
    const digest = await crypto.subtle.digest("SHA-256", await blob.arrayBuffer());
    return [...new Uint8Array(digest, 0, 8)].map(hex).join("");
  }
  // Browsers hash only where the connection is safe; elsewhere the name is drawn, and a second drop is a second picture.
  return [...crypto.getRandomValues(new Uint8Array(8))].map(hex).join("");
}

async function base64(blob) {
  const read = new FileReader();
  const done = new Promise((resolve, reject) => {
    read.onload = resolve;
    read.onerror = () => reject(read.error);
  });
  read.readAsDataURL(blob);
  await done;
  return read.result.slice(read.result.indexOf(",") + 1);
}

// Where a browser keeps nothing, such as in a private window, pictures live as long as the page.

let opened = null;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("retrieve", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("pictures", { keyPath: "name" }).createIndex("added", "added");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function store(name, blob) {
  try {
    const pictures = (await database()).transaction("pictures", "readwrite").objectStore("pictures");
    pictures.put({ name, blob, added: Date.now() });
    const names = await settled(pictures.index("added").getAllKeys());
    for (const old of names.slice(0, Math.max(0, names.length - KEPT))) pictures.delete(old);
  } catch (error) {
    console.warn("the picture is kept until the page is closed:", error);
  }
}

async function load(name) {
  try {
    const found = await settled((await database()).transaction("pictures").objectStore("pictures").get(name));
    return found?.blob ?? null;
  } catch {
    return null;
  }
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
