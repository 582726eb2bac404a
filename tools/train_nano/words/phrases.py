"""Everyday queries with a known truth: counts, colours, two things, kinds and types of photograph, worded otherwise than captions are.

Truth comes from what people wrote under photographs (one sentence for a count or a colour, which few mention, two of five for things), from labels, from
the making of altered pictures, from MS-COCO's lists of all objects in a photograph, and from ``checked.csv``: photographs that were looked at one by one.
What has fewer than five right photographs is not asked.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from tools.train_nano.inputs.data import Photo
from tools.train_nano.measure import unit

Rows = NDArray[np.float32]
LEAST, FIRST = 5, 5
NUMBERS = {"two": "a pair of {}", "three": "3 {}", "four": "four of the {}", "several": "a bunch of {}"}
THINGS = {
    "dogs": r"dogs|puppies", "people": r"people|persons", "men": r"men|guys", "women": r"women|ladies", "children": r"children|kids",
    "boys": r"boys", "girls": r"girls", "horses": r"horses", "players": r"players", "bicycles": r"bicycles|bikes|bicyclists|cyclists",
    "elephants": r"elephants", "giraffes": r"giraffes", "zebras": r"zebras", "cats": r"cats|kittens", "boats": r"boats",
    "friends": r"friends", "cows": r"cows|cattle", "birds": r"birds", "sheep": r"sheep", "teddy bears": r"teddy bears",
}  # fmt: skip
COLOURS = ("black", "white", "brown", "red", "blue", "yellow", "green", "pink", "orange", "purple", "grey")
COLOURED = {
    "dog": ("{1} whose fur is {0}", r"dog|puppy"), "shirt": ("somebody wearing something {0} on top", r"shirt|t-shirt|top"),
    "jacket": ("a {0} coat worn outdoors", r"jacket|coat"), "dress": ("female in a gown that is {0}", r"dress"),
    "hat": ("{0} headwear", r"hat|cap|helmet"), "car": ("automobile painted {0}", r"car|truck|van"), "bus": ("{0} coach on the road", r"bus"),
    "uniform": ("sportsperson in {0} kit", r"uniform|jersey"), "shorts": ("{0} short trousers", r"shorts|swim(?:suit|trunks|ming trunks)"),
    "ball": ("a ball coloured {0}", r"ball"), "swimsuit": ("{0} bathing costume", r"bikini|swimsuit|bathing suit"), "water": ("{0} sea or pool", r"water|pool|ocean"),
    "train": ("{0} locomotive", r"train"), "flower": ("{0} blossoms", r"flowers?"), "bicycle": ("{0} two-wheeler", r"bike|bicycle"),
}  # fmt: skip
TOGETHER = {
    "dog": r"dogs?|pupp(?:y|ies)", "ball": r"balls?", "man": r"man|guy", "bicycle": r"bi(?:ke|cycle)s?|bicyclists?|cyclists?", "child": r"child(?:ren)?|kids?|boys?|girls?|toddler",
    "water": r"water|ocean|lake|pool|river|sea", "beach": r"beach|sand|shore", "snow": r"snow(?:y)?", "horse": r"horses?", "woman": r"wom[ae]n|lad(?:y|ies)",
    "camera": r"camera|photographs?", "grass": r"grass(?:y)?|lawn|field", "stick": r"sticks?|branch", "guitar": r"guitars?|instruments?|band", "street": r"street|road|sidewalk",
    "mountain": r"mountains?|cliff|rocks?|hill", "skateboard": r"skateboard(?:er|ing|s)?", "swing": r"swings?|swinging|slide", "table": r"tables?", "food": r"food|eating|meal|pizza|cake|sandwich",
    "tree": r"trees?|woods|forest", "car": r"cars?|truck", "fence": r"fence|hurdle|bars?", "bench": r"bench", "baby": r"bab(?:y|ies)|infant", "racket": r"tennis|racket|racquet",
    "boat": r"boats?|canoe|kayak|surfboard", "crowd": r"crowd|audience|group", "umbrella": r"umbrellas?", "cat": r"cats?|kittens?", "computer": r"laptops?|computers?|keyboard", "bed": r"beds?",
}  # fmt: skip
# Words for kinds, and the labels (collection/label) that are of the kind.
KINDS = {
    "fish": r"imagenette/tench|caltech101/(bass|sea horse)", "musical instrument": r"imagenette/French horn|caltech101/(accordion|grand piano|electric guitar|mandolin|saxophone|euphonium|metronome)",
    "vehicle": r"street_vehicles/.*|imagenette/garbage truck|caltech101/(car side|Motorbikes|airplanes|helicopter|ketch|schooner|ferry)", "fruit": r"groceries/(Golden.*|Granny.*|Pink.*|Red-Del.*|Red Del.*|Royal.*|Orange|Satsumas|Anjou|Conference|Kaiser|Banana|Kiwi|Lemon|Lime|Mango|Nectarine|Papaya|Passion.*|Peach|Pineapple|Plum|Pomegranate|.*Grapefruit|Melon|Cantaloupe|Galia.*|Honeydew.*|Watermelon|Avocado)|caltech101/strawberry",
    "vegetable": r"groceries/(Asparagus|Aubergine|Cabbage|Carrots|Cucumber|Garlic|Ginger|Leek|Mushroom|Onion.*|Yellow-Onion|Potato|.*Potato|.*Pepper|.*Tomato|Zucchini|.*Beet.*)", "insect": r"caltech101/(ant|butterfly|dragonfly|mayfly)",
    "big cat": r"caltech101/(Leopards|cougar body|cougar face|wild cat)", "reptile": r"caltech101/(crocodile|crocodile head|stegosaurus|brontosaurus|hawksbill)", "bird": r"caltech101/(pigeon|rooster|emu|flamingo|flamingo head|ibis)", "watercraft": r"caltech101/(ketch|schooner|ferry)|sports/(rowing|sailboat racing|canoe slalom|hydroplane racing)",
    "aircraft": r"caltech101/(airplanes|helicopter)", "footwear": r"clothing/shoes", "clothing": r"clothing/.*", "furniture": r"caltech101/(chair|windsor chair|lamp|chandelier)", "flower": r"flowers/.*|caltech101/(sunflower|lotus|water lilly)", "dog breed": r"cats_dogs/(?!cat$)[a-z].*",
    "farm animal": r"animals/(sheep|cow|horse)", "pet": r"animals/(cat|dog)|cats_dogs/.*", "winter sport": r"sports/(bobsled|curling|figure.*|giant slalom|hockey|ice.*|luge|ski jumping|snowboarding|snowmobile.*|speed skating)", "ball game": r"sports/(baseball|basketball|cricket|football|golf|lacrosse|rugby|table tennis|tennis|volleyball|water polo|polo|field hockey)",
    "combat sport": r"sports/(boxing|fencing|judo|olympic wrestling|sumo wrestling|arm wrestling)", "motor sport": r"sports/(formula 1 racing|nascar racing|motorcycle racing|sidecar racing|hydroplane racing|snowmobile racing)", "gymnastics": r"sports/(balance beam|parallel bar|pommel horse|rings|uneven bars|trapeze)", "room of a house": r"rooms/(bathroom|bedroom|kitchen)",
    "landscape": r"scenes/(forest|glacier|mountain|sea)", "mollusc": r"caltech101/(nautilus|octopus)", "crustacean": r"caltech101/(crab|crayfish|lobster)", "marsupial": r"caltech101/kangaroo|caltech101/wombat", "bad weather": r"weather/(rainy|foggy)", "tool": r"imagenette/chain saw|caltech101/(scissors|wrench)",
}  # fmt: skip
# What a photograph of `OBJECT_LISTS` shows, by MS-COCO's names.
OBJECT_LISTS = "coco_objects"
OBJECTS = {
    "human being": r"person", "crockery or cutlery": r"cup|fork|knife|spoon|bowl|wine glass", "large beast of the savanna": r"elephant|giraffe|zebra",
    "something edible": r"banana|apple|sandwich|orange|broccoli|carrot|hot dog|pizza|donut|cake", "household electronics": r"tv|laptop|mouse|remote|keyboard|cell phone|microwave|oven|toaster|refrigerator",
    "sporting gear": r"frisbee|skis|snowboard|sports ball|kite|baseball bat|baseball glove|skateboard|surfboard|tennis racket", "thing made for sitting": r"chair|couch|bench|toilet",
    "means of transport": r"bicycle|car|motorcycle|airplane|bus|train|truck|boat", "living creature that is no human": r"bird|cat|dog|horse|sheep|cow|elephant|bear|zebra|giraffe",
}  # fmt: skip
CHECKED_FILE = Path(__file__).with_name("checked.csv")
# What photographs of `CHECKED_FILE` show: the sort of query, and how people ask for it.
CHECKED = {
    "without colour": ("real type", ("greyscale shot", "picture that lacks any colour")), "night": ("real type", ("shot in the hours of darkness", "lamps glowing after nightfall")),
    "sunset": ("real type", ("glowing horizon as the sun goes down", "low sun and an orange heaven")), "silhouette": ("real type", ("dark outline of somebody against the light",)),
    "snow": ("scene", ("ground all white in winter", "deep snowfall lying everywhere")), "rink": ("scene", ("match of skaters with sticks and a puck",)),
    "flying": ("scene", ("aircraft up in the air",)), "musicians": ("scene", ("somebody making music",)),
    "red vehicle": ("colour", ("means of transport painted scarlet",)), "yellow vehicle": ("colour", ("means of transport painted bright yellow",)),
    "blue vehicle": ("colour", ("means of transport painted blue",)),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """One query: its words, its sort, and which photographs are right.

    Sorts are ``count``, ``colour``, ``two things``, ``real type`` and ``scene``, asked of photographs with sentences; ``kind``, of labelled ones;
    ``object``, of those with lists of all objects; and ``type``, of altered ones.
    """

    words: str
    sort: str
    right: NDArray[np.bool_]


def says(photo: Photo, pattern: re.Pattern[str], least: int) -> bool:
    """Tell whether so many sentences say so, or all where there are fewer."""
    found = sum(pattern.search(sentence.lower()) is not None for sentence in photo.sentences)
    return found >= min(least, len(photo.sentences)) > 0


def phrases(photos: Sequence[Photo]) -> list[Phrase]:
    """Give the queries about photographs with sentences or labels; the others are wrong answers."""
    found: list[Phrase] = []

    def ask(words: str, sort: str, right: NDArray[np.bool_]) -> None:
        if right.sum() >= LEAST:
            found.append(Phrase(words=words, sort=sort, right=right))

    def told(pattern: str, *, least: int) -> NDArray[np.bool_]:
        compiled = re.compile(pattern)
        return np.array([says(photo, compiled, least) for photo in photos])

    for number, words in NUMBERS.items():
        for thing, pattern in THINGS.items():
            ask(words.format(thing), "count", told(rf"\b{number} (?:[\w-]+ ){{0,2}}(?:{pattern})\b", least=1))
    for thing, (words, pattern) in COLOURED.items():
        for colour in COLOURS:
            right = told(rf"\b{colour} (?:(?!and\b|in\b|with\b)[\w-]+ )?(?:{pattern})\b", least=1)
            ask(words.format(colour, thing), "colour", right)
    mentioned = {thing: told(rf"\b(?:{pattern})\b", least=2) for thing, pattern in TOGETHER.items()}
    things = list(TOGETHER)
    for i, first in enumerate(things):
        for second in things[i + 1 :]:
            ask(f"both a {first} and a {second}", "two things", mentioned[first] & mentioned[second])
    labels = [f"{photo.group}/{photo.label}" if photo.label else "" for photo in photos]
    for kind, pattern in KINDS.items():
        ask(kind, "kind", np.array([re.fullmatch(pattern, label) is not None for label in labels]))
    listed = [photo.label.split(", ") if photo.group == OBJECT_LISTS else [] for photo in photos]
    for words, pattern in OBJECTS.items():
        ask(words, "object", np.array([any(re.fullmatch(pattern, one) for one in names) for names in listed]))
    shown = checked()
    for what, (sort, several) in CHECKED.items():
        right = np.array([photo.file in shown[what] for photo in photos])
        for words in several:
            ask(words, sort, right)
    return found


def checked() -> dict[str, set[str]]:
    """Read which photographs show what, by the names of `CHECKED`."""
    found: dict[str, set[str]] = {what: set() for what in CHECKED}
    with CHECKED_FILE.open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            found[row["shows"]].add(row["file"])
    return found


def _night(image: Image.Image) -> Image.Image:
    dark = np.asarray(ImageEnhance.Brightness(image).enhance(0.25), np.float32) * [0.8, 0.9, 1.3]
    return Image.fromarray(np.clip(dark, 0, 255).astype(np.uint8))


def _sepia(image: Image.Image) -> Image.Image:
    grey = np.asarray(image.convert("L"), np.float32)[:, :, None] * [1.07, 0.92, 0.72]
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))


# Types of photograph: how one is made of any, and how people ask for it.
TYPES: dict[str, tuple[Callable[[Image.Image], Image.Image], tuple[str, ...]]] = {
    "grey": (lambda im: im.convert("L").convert("RGB"), ("black and white photo", "monochrome picture without any colour")),
    "night": (_night, ("taken at night", "a dark picture after sunset")),
    "blurred": (lambda im: im.filter(ImageFilter.GaussianBlur(max(im.size) / 40)), ("blurry photo", "picture that is out of focus")),
    "sepia": (_sepia, ("old sepia photograph", "vintage brown-toned picture")),
    "upside down": (lambda im: im.transpose(Image.Transpose.ROTATE_180), ("upside down picture", "photo turned on its head")),
    "pale": (lambda im: ImageEnhance.Contrast(im).enhance(0.25), ("washed-out picture", "faded photo with little contrast")),
}  # fmt: skip


def first_right(words: Rows, images: Rows, right: Sequence[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """Give the share of right photographs among the first five of each query, ``(t,)``."""
    top = np.argsort(-(unit(words) @ unit(images).T), axis=1, kind="stable")[:, :FIRST]
    return np.array([mask[row].mean() for mask, row in zip(right, top, strict=True)])


def by_sort(asked: Sequence[Phrase], precision: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """Give for each sort the mean precision of the first five and the number of queries; ``chance`` is what any order gives."""
    found: dict[str, dict[str, float]] = {}
    for sort in dict.fromkeys(phrase.sort for phrase in asked):
        own = [i for i, phrase in enumerate(asked) if phrase.sort == sort]
        found[sort] = {
            "precision_5": float(precision[own].mean()),
            "queries": len(own),
            "chance": float(np.mean([asked[i].right.mean() for i in own])),
        }
    return found
