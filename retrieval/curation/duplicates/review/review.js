"use strict";
// Keep what a person decides about pairs of images: in this browser, in a file to download, and with a service if there is one.
(() => {
  const pairs = [...document.querySelectorAll(".pair")];
  const address = document.querySelector('meta[name="decisions-url"]')?.content ?? "";
  const place = "retrieve-duplicates " + (document.body.dataset.collection ?? "");
  const words = { g: "second-goes", x: "first-goes", b: "keep-both", d: "different" };
  const facts = new Map(pairs.map((pair) => [pair, JSON.parse(pair.dataset.pair)]));
  // What was on the right of a page may be on the left of the next one: who stays has changed.
  const turned = { ...Object.fromEntries(Object.values(words).map((word) => [word, word])), [words.g]: words.x, [words.x]: words.g };
  const name = (pair, swapped = false) => {
    const { first, second } = facts.get(pair);
    return JSON.stringify(swapped ? [second, first] : [first, second]);
  };
  const decided = new Map();
  let at = 0;

  function remembered() {
    try {
      return JSON.parse(localStorage.getItem(place) ?? "{}");
    } catch {
      return {};
    }
  }

  function remember() {
    const all = remembered();
    for (const pair of pairs) {
      if (decided.has(pair)) all[name(pair)] = decided.get(pair);
      else delete all[name(pair)];
      delete all[name(pair, true)];
    }
    try {
      localStorage.setItem(place, JSON.stringify(all));
    } catch { /* a private window: the download has them */ }
  }

  function show(pair) {
    const word = decided.get(pair);
    pair.classList.toggle("done", word !== undefined);
    for (const button of pair.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.word === word));
    }
    document.getElementById("count").textContent = `${decided.size} of ${pairs.length} decided`;
  }

  function go(to, scroll = true) {
    at = Math.min(Math.max(to, 0), pairs.length - 1);
    for (const one of document.querySelectorAll(".active")) one.classList.remove("active");
    const pair = pairs[at];
    if (!pair) return;
    pair.classList.add("active");
    document.getElementById(pair.dataset.outline ?? "")?.classList.add("active");
    if (scroll) pair.scrollIntoView({ block: "center", behavior: "instant" });
  }

  function decisions(some) {
    const list = some.map((pair) => ({ ...facts.get(pair), decision: decided.get(pair) }));
    return JSON.stringify({ format: 1, decisions: list }, null, 1) + "\n";
  }

  async function tell(pair) {
    if (!address || !decided.has(pair)) return;
    const headers = { "Content-Type": "application/json" };
    try {
      const answer = await fetch(address, { method: "POST", headers, body: decisions([pair]), credentials: "same-origin" });
      if (!answer.ok) throw new Error(String(answer.status));
      document.getElementById("told").textContent = "kept by the service";
    } catch (error) {
      document.getElementById("told").textContent = `not kept by the service (${error.message}): save the file`;
    }
  }

  function decide(pair, word) {
    if (decided.get(pair) === word) decided.delete(pair);
    else decided.set(pair, word);
    show(pair);
    remember();
    tell(pair);
  }

  function save() {
    const file = new Blob([decisions(pairs.filter((pair) => decided.has(pair)))], { type: "application/json" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = "decisions.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  for (const [number, pair] of pairs.entries()) {
    pair.addEventListener("click", (event) => {
      go(number, false);
      const word = event.target.closest?.("button")?.dataset.word;
      if (word) decide(pair, word);
    });
  }
  document.getElementById("save").addEventListener("click", save);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !pairs.length) return;
    const key = event.key.toLowerCase();
    if (key === "j" || key === "arrowdown" || key === "arrowright") go(at + 1);
    else if (key === "k" || key === "arrowup" || key === "arrowleft") go(at - 1);
    else if (key === "s") save();
    else if (key === "n") go(pairs.findLastIndex((pair) => pair.closest(".set") === pairs[at].closest(".set")) + 1);
    else if (key === "a") {
      const set = pairs[at].closest(".set");
      const some = pairs.filter((pair) => pair.closest(".set") === set && "goes" in pair.dataset);
      for (const pair of some) if (decided.get(pair) !== words.g) decide(pair, words.g);
      go(pairs.findLastIndex((pair) => pair.closest(".set") === set) + 1);
    }
    else if (key === "u") {
      decided.delete(pairs[at]);
      show(pairs[at]);
      remember();
    } else if (words[key]) {
      if (decided.get(pairs[at]) !== words[key]) decide(pairs[at], words[key]);
      go(at + 1);
    } else return;
    event.preventDefault();
  });
  const kept = remembered();
  for (const pair of pairs) {
    const word = kept[name(pair)] ?? turned[kept[name(pair, true)]] ?? ("decided" in pair.dataset ? words.g : undefined);
    if (Object.values(words).includes(word)) decided.set(pair, word);
    show(pair);
  }
  go(0, false);
})();
