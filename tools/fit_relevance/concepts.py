"""Name the things that the labelled photographs show, alike in all sets, and say which of them may show one another."""

from __future__ import annotations

import re
from typing import Final

from tools.train_nano.inputs.data import CLUTTER, Photo

DOMAINS: Final = {
    "objects": ("caltech101",),
    "sports": ("sports",),
    "food and clothes": ("groceries", "clothing"),
    "places": ("scenes", "rooms", "weather", "street_vehicles"),
    "animals and things": ("imagenette", "cats_dogs", "animals", "flowers", "pandas"),
}
"""Sets of photographs by what they are of: fitted on some domains, reported on another."""

SHOWN_UNSAID: Final = frozenset({"clothing", "scenes", "rooms", "weather", "street_vehicles"})
"""Sets whose things are in many photographs that do not name them in their sentences."""

_CATS: Final = frozenset(
    {"Abyssinian", "American Bobtail", "American Curl", "American Shorthair", "American Wirehair", "cat"}
)
_APPLES: Final = frozenset({"Golden Delicious", "Granny Smith", "Pink Lady", "Red Delicious", "Royal Gala"})
_MELONS: Final = frozenset({"Cantaloupe", "Galia Melon", "Honeydew Melon"})
_LEFT_OUT: Final = frozenset(
    {CLUTTER, "dhole", "dingo", "african hunting dog", "body", "top", "outerwear", "long-sleeve top", "rings"}
)
"""Labels that name no one thing, or something between two."""

_UNLABELLED: Final = frozenset({"street_drive", "street_riders", "coco_objects"})

_CALLED: Final = {
    "Anjou": "pear",
    "Aubergine": "eggplant",
    "Beef Tomato": "tomato",
    "Brown Cap Mushroom": "mushroom",
    "Carrots": "carrot",
    "Conference": "pear",
    "English springer": "dog",
    "Floury Potato": "potato",
    "Green Bell Pepper": "bell pepper",
    "Kaiser": "pear",
    "Leopards": "leopard",
    "Motorbikes": "motorcycle",
    "Orange Bell Pepper": "bell pepper",
    "Passion Fruit": "passion fruit",
    "Red Beet": "beetroot",
    "Red Bell Pepper": "bell pepper",
    "Red Grapefruit": "grapefruit",
    "Regular Tomato": "tomato",
    "Satsumas": "tangerine",
    "Solid Potato": "potato",
    "Sweet Potato": "sweet potato",
    "Vine Tomato": "tomato",
    "Yellow Bell Pepper": "bell pepper",
    "Yellow Onion": "onion",
    "airplanes": "airplane",
    "bass": "fish",
    "bmx": "bmx bike",
    "bonsai": "bonsai tree",
    "buddha": "buddha statue",
    "car side": "car",
    "cellphone": "cell phone",
    "cloudy": "cloudy sky",
    "cougar body": "cougar",
    "cougar face": "cougar",
    "crocodile head": "crocodile",
    "dalmatian": "dog",
    "euphonium": "tuba",
    "figure skating men": "figure skating",
    "figure skating pairs": "figure skating",
    "figure skating women": "figure skating",
    "flamingo head": "flamingo",
    "foggy": "fog",
    "formula 1 racing": "formula 1 car",
    "grand piano": "piano",
    "hawksbill": "sea turtle",
    "hockey": "ice hockey",
    "inline skate": "roller skate",
    "ketch": "sailboat",
    "pants": "trousers",
    "polo": "polo on horses",
    "rainy": "rain",
    "rhino": "rhinoceros",
    "schooner": "sailboat",
    "tench": "fish",
    "track bicycle": "bicycle racing",
    "water lilly": "water lily",
    "windsor chair": "chair",
}

_ALIASES: Final = {
    "motorcycle": ("motorbike", "bike", "cycle"),
    "airplane": ("plane",),
    "cell phone": ("phone",),
    "trousers": ("pants",),
}

_TOGETHER: Final = (
    "dog|mushing",
    "cat|wild cat|leopard|cougar",
    "horse|polo on horses|horse racing|horse jumping|harness racing|chuckwagon racing|barrel racing|steer wrestling|bull riding|jousting",
    "cow|bull riding|steer wrestling",
    "motorcycle|motorcycle racing|sidecar racing|bmx bike",
    "car|nascar racing|formula 1 car|street|garbage truck|bus|sidecar racing",
    "bus|street|garbage truck|train",
    "train|street",
    "sailboat|sailboat racing|ferry|ice yachting|sea|rowing|canoe slalom|hydroplane racing",
    "soccer ball|football|golf ball",
    "golf|golf ball|disc golf",
    "football|rugby|amputee football|lacrosse|field hockey|gaga ball",
    "ultimate frisbee|frisbee|disc golf",
    "ice hockey|field hockey|air hockey",
    "bowling|curling|shuffleboard",
    "parachute|skydiving|sky surfing|wingsuit flying|hang gliding|bungee jumping",
    "surfing|sea|water cycling",
    "swimming|water polo|sea",
    "rock climbing|ice climbing|mountain|pole climbing",
    "mountain|glacier|forest|giant slalom|ski jumping|snowboarding|snowmobile racing|sunrise|fog|cloudy sky|ice climbing|hang gliding|wingsuit flying|mushing",
    "glacier|sea|ice climbing|ice yachting|snowmobile racing",
    "sea|sunrise|cloudy sky|water cycling|fly fishing|canoe slalom|sunshine|starfish|sea turtle|dolphin",
    "buildings|street|house exterior|church|pagoda|minaret|pyramid",
    "church|minaret|pagoda|house exterior|buildings",
    "street|buildings|house exterior|stop sign|car|bus|train|rain",
    "forest|fog|sunshine|bonsai tree|joshua tree|mushing|disc golf",
    "sunrise|sunshine|cloudy sky|fog|rain|sea|forest|mountain|glacier|airplane",
    "snowboarding|giant slalom|ski jumping|snowmobile racing",
    "cricket|baseball",
    "tennis|table tennis|jai alai",
    "basketball|wheelchair basketball",
    "wheelchair|wheelchair basketball|wheelchair racing|amputee football",
    "hurdles|high jump|pole vault|javelin|shot put|hammer throw|wheelchair racing|tug of war",
    "judo|olympic wrestling|sumo wrestling|arm wrestling|boxing|fencing",
    "balance beam|parallel bar|pommel horse|uneven bars|trapeze|pole dancing",
    "roller skate|roller derby|rollerblade racing",
    "figure skating|speed skating|ice hockey",
    "bobsled|luge",
    "bicycle racing|bike polo|bmx bike|water cycling",
    "canoe slalom|rowing|log rolling|hydroplane racing",
    "billiards|shuffleboard|air hockey",
    "fish|fly fishing|dolphin",
    "lotus|water lily",
    "crayfish|lobster",
    "stegosaurus|brontosaurus",
    "tuba|French horn",
    "chandelier|lamp|menorah",
    "cup|ewer",
    "chair|wheelchair|kitchen|house exterior",
    "headphone|cassette player",
    "leopard|wild cat|cougar",
    "blazer|hoodie|shirt",
    "blouse|shirt|t-shirt|polo|undershirt|hoodie|blazer",
    "trousers|shorts|skirt",
    "orange|tangerine",
    "melon|watermelon",
    "potato|sweet potato",
    "kitchen|bathroom|bedroom",
    "barrel|log rolling",
    "baton twirling|cheerleading",
    "archery|javelin",
    "bull riding|barrel racing|steer wrestling|chuckwagon racing|harness racing|horse racing|horse jumping|polo on horses|jousting|cow",
    "volleyball|basketball|football",
)
"""Things that may be in one photograph, or that one word may mean: none is called absent where another of its line is."""


def concept(photo: Photo) -> str:
    """Return what a photograph shows, in everyday words; nothing where its label does not say."""
    label = photo.label
    if not label or label in _LEFT_OUT or photo.group in _UNLABELLED:
        return ""
    if photo.group == "cats_dogs":
        return "cat" if label in _CATS else "dog"
    if photo.group == "groceries":
        label = "apple" if label in _APPLES else "melon" if label in _MELONS else _CALLED.get(label, label)
        return label.lower()
    return _CALLED.get(label, label)


def may_show(name: str) -> frozenset[str]:
    """Return what else may show a thing: photographs of these are no trial of it."""
    lines = [line.split("|") for line in _TOGETHER]
    return frozenset(other for line in lines if name in line for other in line if other != name)


def mentions(name: str, sentences: str) -> bool:
    """Say whether sentences in lower case may speak of a thing, or of one that may show it."""
    stems = [
        word.rstrip("s") for one in (name, *may_show(name)) for word in re.findall("[a-z]+", one.lower())
    ]
    return any(stem in sentences for stem in (*stems, *_ALIASES.get(name, ())))
