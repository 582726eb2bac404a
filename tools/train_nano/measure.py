"""What nano is judged by, as pure functions on arrays: every score in [0, 1], higher is better."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.train_nano.inputs.data import Photo

# A common noun, and the labels (collection/label, as regular expressions) that count as it.
NAMES: dict[str, str] = {
    "dog": r"cats_dogs/(?!cat$)[a-z].*|imagenette/English springer|caltech101/dalmatian",
    "cat": r"cats_dogs/(cat|[A-Z].*)|caltech101/wild cat",
    "panda": r"(pandas|caltech101)/panda",
    "church": r"imagenette/church",
    "parachute": r"imagenette/parachute",
    "golf ball": r"imagenette/golf ball",
    "chainsaw": r"imagenette/chain saw",
    "garbage truck": r"imagenette/garbage truck",
    "gas pump": r"imagenette/gas pump",
    "french horn": r"imagenette/French horn",
    "fish": r"imagenette/tench|caltech101/bass",
    "building": r"scenes/buildings|rooms/house exterior|imagenette/church",
    "forest": r"scenes/forest",
    "glacier": r"scenes/glacier",
    "mountain": r"scenes/(mountain|glacier)",
    "sea": r"scenes/sea",
    "street": r"scenes/street",
    "bathroom": r"rooms/bathroom",
    "bedroom": r"rooms/bedroom",
    "kitchen": r"rooms/kitchen",
    "house": r"rooms/house exterior",
    "airplane": r"caltech101/airplanes",
    "motorcycle": r"caltech101/Motorbikes",
    "car": r"caltech101/car side",
    "piano": r"caltech101/grand piano",
    "wristwatch": r"caltech101/watch",
    "apple": r"groceries/(Golden Delicious|Granny Smith|Pink Lady|Red Delicious|Royal Gala)",
    "orange fruit": r"groceries/(Orange|Satsumas)",
    "pear": r"groceries/(Anjou|Conference|Kaiser)",
    "tomato": r"groceries/.*Tomato",
    "starfish": r"caltech101/starfish",
    "kangaroo": r"caltech101/kangaroo",
    "sailboat": r"caltech101/(ketch|schooner)",
    # classes never trained on
    "bonsai tree": r"caltech101/bonsai",
    "chandelier": r"caltech101/chandelier",
    "sunflower": r"caltech101/sunflower",
    "scorpion": r"caltech101/scorpion",
    "laptop": r"caltech101/laptop",
    "llama": r"caltech101/llama",
    "electric guitar": r"caltech101/electric guitar",
    "leopard": r"caltech101/Leopards",
    "rhinoceros": r"caltech101/rhino",
    "lamp": r"caltech101/lamp",
    "lotus flower": r"caltech101/lotus",
    "shirt": r"clothing/(shirt|t-shirt|polo|long-sleeve top|blouse|top|undershirt)",
    "dress": r"clothing/dress",
    "shoes": r"clothing/shoes",
    "hat": r"clothing/hat",
    "trousers": r"clothing/pants",
    "skirt": r"clothing/skirt",
}
# Nouns looked for among photographs of everyday scenes; a photograph counts if its caption says so.
SCENE_NAMES: dict[str, str] = {
    "dog": r"dogs?|pupp(y|ies)",
    "cat": r"cats?|kittens?",
    "bicycle": r"bicycles?|bikes?",
    "motorcycle": r"motorcycles?|motor ?bikes?|bikes?",
    "pizza": r"pizzas?",
    "sofa": r"sofas?|couch(es)?",
    "train": r"trains?",
    "bus": r"bus(es)?",
    "airplane": r"air ?planes?|planes?|jets?|aircraft",
    "boat": r"boats?|ships?|sailboats?",
    "horse": r"horses?",
    "elephant": r"elephants?",
    "giraffe": r"giraffes?",
    "zebra": r"zebras?",
    "bear": r"bears?",
    "bird": r"birds?|parrots?|ducks?|pigeons?|seagulls?|owls?",
    "sheep": r"sheep|lambs?",
    "cow": r"cows?|cattle|bulls?",
    "toilet": r"toilets?",
    "bathroom": r"bathrooms?|toilets?",
    "kitchen": r"kitchens?",
    "bed": r"beds?|bedrooms?",
    "surfing": r"surf(er|ers|ing|board|boards)?",
    "skiing": r"ski(er|ers|ing|s)?",
    "skateboard": r"skateboard(er|ers|ing|s)?|skate",
    "tennis": r"tennis",
    "baseball": r"baseball|batter|pitcher",
    "umbrella": r"umbrellas?",
    "clock": r"clocks?",
    "cake": r"cakes?",
    "sandwich": r"sandwich(es)?",
    "laptop": r"laptops?|computers?",
    "stop sign": r"stop signs?",
    "traffic light": r"traffic (light|signal)s?|stop ?lights?",
    "fire hydrant": r"(fire )?hydrants?",
    "vase": r"vases?",
    "teddy bear": r"teddy|stuffed",
    "kite": r"kites?",
    "beach": r"beach(es)?|ocean|surf(er|ing|board)?",
    "mountain": r"mountains?|slopes?",
}


def unit(rows: NDArray[Any], dim: int | None = None) -> NDArray[np.float32]:
    """Cut rows to their first ``dim`` columns and normalise them."""
    rows = rows[:, :dim].astype(np.float32)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def nearest_accuracy(rows: NDArray[np.float32], labels: NDArray[Any], *, dim: int | None = None) -> float:
    """Leave-one-out 1-nearest-neighbour accuracy by cosine of the first ``dim`` columns."""
    rows = unit(rows, dim)
    scores = rows @ rows.T  # (n, n)
    np.fill_diagonal(scores, -2)
    return float((labels[scores.argmax(1)] == labels).mean())


def paired_recall(
    texts: NDArray[np.float32], images: NDArray[np.float32], *, k: int, dim: int | None = None
) -> float:
    """Share of texts whose own image (the same row) is among the ``k`` best."""
    scores = unit(texts, dim) @ unit(images, dim).T  # (n, n)
    own = np.diagonal(scores)[:, None]
    return float(((scores > own).sum(1) < k).mean())


def first_is_own(copies: NDArray[np.float32], gallery: NDArray[np.float32], own: NDArray[np.int64]) -> float:
    """Share of copies whose original (gallery row ``own[i]``) is found first."""
    return float(((unit(copies) @ unit(gallery).T).argmax(1) == own).mean())


def relevant_by_label(photos: Sequence[Photo]) -> dict[str, NDArray[np.bool_]]:
    """For each name of `NAMES`: which photographs count as it; names with fewer than ten are left out."""
    labels = [f"{photo.group}/{photo.label}" for photo in photos]
    found = {n: np.array([re.fullmatch(p, label) is not None for label in labels]) for n, p in NAMES.items()}
    return {name: mask for name, mask in found.items() if mask.sum() >= 10}


def relevant_by_caption(captions: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """For each name of `SCENE_NAMES`: which captions mention it; names with fewer than ten are left out."""
    found = {
        name: np.array([re.search(rf"\b({p})\b", caption.lower()) is not None for caption in captions])
        for name, p in SCENE_NAMES.items()
    }
    return {name: mask for name, mask in found.items() if mask.sum() >= 10}


def precision_at_10(
    texts: NDArray[np.float32],
    images: NDArray[np.float32],
    relevant: Sequence[NDArray[np.bool_]],
    *,
    dim: int | None = None,
) -> NDArray[np.float64]:
    """Share of relevant images among the ten best of each text, ``(t,)``; ``relevant[i]`` is ``(n,)`` for text i."""
    top = np.argsort(-(unit(texts, dim) @ unit(images, dim).T), axis=1, kind="stable")[:, :10]
    return np.array([mask[row].mean() for mask, row in zip(relevant, top, strict=True)])
