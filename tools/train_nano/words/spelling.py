"""Ask names as people misspell and inflect them: what is found should be what the right word finds."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.train_nano.words.phrases import first_right
from tools.train_nano.words.text import misspell

Rows = NDArray[np.float32]

SEED = 9
# Words that are often written wrongly, by how.
COMMON = {
    "elephant": "elefant", "giraffe": "girafe", "zebra": "zeebra", "bicycle": "bycicle", "motorcycle": "motercycle", "pizza": "piza", "airplane": "airplain",
    "umbrella": "umbrela", "sandwich": "sandwhich", "laptop": "labtop", "skateboard": "skatebord", "baseball": "basball", "tennis": "tenis", "bathroom": "bathrom",
    "kitchen": "kichen", "toilet": "toliet", "clock": "clok", "horse": "hourse", "sheep": "sheap", "train": "trian", "boat": "baot", "bird": "brid", "mountain": "mountian",
    "traffic light": "trafic light", "fire hydrant": "fire hydrent", "teddy bear": "tedy bear", "kite": "kyte", "vase": "vaze", "skiing": "sking", "bus": "buss", "cat": "kat",
    "dog": "dogg", "church": "chruch", "parachute": "parashute", "golf ball": "golf bal", "garbage truck": "garbadge truck", "gas pump": "gass pump", "french horn": "frensh horn",
    "building": "bilding", "forest": "forrest", "glacier": "glaciar", "street": "streat", "bedroom": "bedrom", "house": "hosue", "piano": "pianno", "wristwatch": "wristwach",
    "apple": "aple", "tomato": "tomatoe", "kangaroo": "kangeroo", "chandelier": "chandeleir", "scorpion": "scorpian", "electric guitar": "electric gitar", "leopard": "lepard",
    "rhinoceros": "rinoceros", "shirt": "shrit", "dress": "dres", "shoes": "shoos", "trousers": "trowsers", "skirt": "skrit", "sunflower": "sunflowwer",
}  # fmt: skip
# Other forms of a word, where no rule gives them; none where there are none.
FORMS = {
    "trousers": None, "shoes": "shoe", "skiing": "skied", "surfing": "surfed", "tennis": None, "baseball": None, "fish": "fishes", "orange fruit": "oranges",
}  # fmt: skip
# Last words of names whose plural no rule gives; None where they have none.
IRREGULAR = {
    "ox": "oxen", "person": "people", "man": "men", "woman": "women", "child": "children", "mouse": "mice", "foot": "feet", "goose": "geese", "knife": "knives",
    "leaf": "leaves", "wolf": "wolves", "shelf": "shelves", "loaf": "loaves", "fish": None, "sheep": None, "deer": None, "piano": "pianos", "avocado": "avocados",
    "mango": "mangos", "kiwi": "kiwis", "asparagus": None, "delicious": None, "garlic": None, "ginger": None, "bass": None, "tench": None, "flamingo": "flamingos",
    "rhino": "rhinos", "ibis": "ibises", "iris": "irises", "canvas": "canvases", "lens": "lenses", "axis": "axes", "oasis": "oases", "photo": "photos", "video": "videos",
    "zoo": "zoos", "radio": "radios", "studio": "studios",
}  # fmt: skip


def inflected(word: str) -> str | None:
    """Return the plural of a noun, or another form of a verb; None where it has none, or is a plural already."""
    if word in FORMS:
        return FORMS[word]
    *before, last = word.split()
    if last in IRREGULAR:
        plural = IRREGULAR[last]
        return None if plural is None else " ".join([*before, plural])
    if last.endswith("s") and not last.endswith(("ss", "us", "os")):
        return None
    if last.endswith(("s", "x", "ch", "sh", "o")) and not last.endswith("oo"):
        return f"{word}es"
    if last.endswith("y") and last[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"


def spelled(words: list[str]) -> list[tuple[str, str, str]]:
    """Return what is asked for each word: the word, how (``common``, ``typo`` or ``inflected``), and what is asked in its place.

    A typo changes one letter of a word of four letters or more, drawn by `SEED`.
    """
    found = []
    for word in words:
        typo = misspell(word, random.Random(f"{SEED}:{word}"))
        for how, said in (("common", COMMON.get(word)), ("typo", typo), ("inflected", inflected(word))):
            if said and said != word:
                found.append((word, how, said))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """What a word should find: the photographs ``images`` ``(n, d)``, which are ``right`` ``(n,)``, and the ``precision`` of the word's own first five."""

    images: Rows
    right: NDArray[np.bool_]
    precision: float


def by_way(
    asked: list[tuple[str, str, str]], rows: Rows, answers: dict[str, Right]
) -> dict[str, dict[str, float]]:
    """Give the precision of the first five by how words are asked, beside that of the right words.

    Args:
        asked: what `spelled` returned.
        rows: ``(t, d)`` what is asked in their place.
        answers: what each word should find.
    """
    shares = [
        first_right(row[None], answers[word].images, [answers[word].right])[0]
        for (word, _, _), row in zip(asked, rows, strict=True)
    ]
    found: dict[str, dict[str, float]] = {}
    for how in dict.fromkeys(way for _, way, _ in asked):
        own = [i for i, (_, way, _) in enumerate(asked) if way == how]
        found[how] = {
            "precision_5": float(np.mean([shares[i] for i in own])),
            "right_word": float(np.mean([answers[asked[i][0]].precision for i in own])),
            "queries": len(own),
        }
    return found
