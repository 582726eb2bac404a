"""Judge images by what was read of their pixels: the kinds of trouble that CleanVision names, by its names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.display import path_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrieval.curation.audit.pixel_facts import PixelFacts

MEANINGS: Final = {
    "leaks": "The same picture or scene stands in several splits, such as train and test.",
    "label_conflicts": "Copies of one picture have different labels.",
    "doubtful_labels": "The nearest labelled images have another label.",
    "exact_duplicates": "Files of the same bytes or pixels.",
    "near_duplicates": "The same picture: smaller, cropped, compressed or edited otherwise.",
    "blurry": "Nothing in the picture is sharp.",
    "low_information": "The picture is empty, or nearly.",
    "dark": "Even the brightest parts are dark.",
    "light": "Even the darkest parts are light.",
    "grayscale": "Nothing has a colour.",
    "odd_aspect_ratio": "One side is at least three times as long as the other.",
    "odd_size": "Much larger or smaller than the other images.",
    "outliers": "Least like their nearest neighbours.",
    "rarely_found": "No image has it among its nearest: searches by images hardly ever find it.",
}
"""What is looked for, in the order in which it is told."""

# Chosen on 800 photographs and 600 with defects made by hand, none of which `bench_curate.py --parts audit` sees: between the
# last plain photograph and the first of those with the defect, where there is such a place.
BLURRY: Final = 0.6
EMPTY: Final = 1.4
DARK: Final = 0.3
LIGHT: Final = 0.85
GREY: Final = 6
OBLONG: Final = 3.0
FENCE: Final = 3.0
"""Distances of the quartiles beyond them, from which a size is odd."""
UNLIKE: Final = 2.0
"""Times the usual side that an odd size has at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueImage:
    """An image that something is found of.

    Attributes:
        path: relative to the collection's root.
        id: the row.
        value: the number that it was judged by; for sets of duplicates the number of the set.
        note: the same in words.
    """

    path: str
    id: int
    value: float
    note: str

    def to_json(self) -> dict[str, Any]:
        """Return the facts by name."""
        return {**path_json(self.path), "id": self.id, "value": round(self.value, 4), "note": self.note}


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """A kind of trouble, and the images that have it.

    Attributes:
        name: such as ``blurry``.
        images: the worst first; those of one set of duplicates one after another.
        looked_at: how many images were judged.
    """

    name: str
    images: tuple[IssueImage, ...]
    looked_at: int

    @property
    def meaning(self) -> str:
        """What it is, in a sentence."""
        return MEANINGS[self.name]

    def __len__(self) -> int:
        return len(self.images)

    def to_json(self) -> dict[str, Any]:
        """Return the facts by name."""
        return {
            "name": self.name,
            "count": len(self),
            "looked_at": self.looked_at,
            "images": [one.to_json() for one in self.images],
        }


def pixel_issues(facts: Mapping[int, PixelFacts], key_of: Callable[[int], str]) -> list[Issue]:
    """Judge images by their pixels.

    Args:
        facts: by row.
        key_of: gives the key of a row.
    Returns:
        ``blurry``, ``low_information``, ``dark``, ``light``, ``grayscale``, ``odd_aspect_ratio`` and ``odd_size``.
    """
    sizes = _odd_sizes(facts)

    def issue(
        name: str,
        value: Callable[[PixelFacts], float],
        wrong: Callable[[PixelFacts], bool],
        words: str,
        *,
        least_first: bool = False,
    ) -> Issue:
        found = sorted(
            ((value(one), number) for number, one in facts.items() if wrong(one)),
            key=lambda pair: (pair[0] if least_first else -pair[0], pair[1]),
        )
        return Issue(
            name=name,
            looked_at=len(facts),
            images=tuple(
                IssueImage(path=key_of(number), id=number, value=one, note=words.format(one))
                for one, number in found
            ),
        )

    return [
        issue(
            "blurry",
            lambda one: one.blur,
            lambda one: one.blur > BLURRY and one.information >= EMPTY,
            "blur {:.2f}",
        ),
        issue(
            "low_information",
            lambda one: one.information,
            lambda one: one.information < EMPTY,
            "{:.1f} bits a pixel",
            least_first=True,
        ),
        issue(
            "dark",
            lambda one: one.bright,
            lambda one: one.bright < DARK,
            "brightest part {:.0%}",
            least_first=True,
        ),
        issue("light", lambda one: one.dim, lambda one: one.dim > LIGHT, "darkest part {:.0%}"),
        issue(
            "grayscale",
            lambda one: one.colour,
            lambda one: one.colour <= GREY and one.bright >= DARK and one.dim <= LIGHT,
            "colour {:.0f} of 255",
            least_first=True,
        ),
        issue(
            "odd_aspect_ratio", _oblong, lambda one: _oblong(one) >= OBLONG, "{:.1f} times as long as wide"
        ),
        Issue(
            name="odd_size",
            looked_at=len(facts),
            images=tuple(
                IssueImage(
                    path=key_of(number),
                    id=number,
                    value=times,
                    note=f"{facts[number].width} × {facts[number].height}, {times:.2g} times the usual side",
                )
                for times, number in sizes
            ),
        ),
    ]


def _oblong(facts: PixelFacts) -> float:
    return max(facts.width, facts.height) / min(facts.width, facts.height)


def _odd_sizes(facts: Mapping[int, PixelFacts]) -> list[tuple[float, int]]:
    """Return how many times the usual side the odd images have, the oddest first: side is the root of width times height."""
    if not facts:
        return []
    numbers = list(facts)
    sides = np.log([facts[number].width * facts[number].height for number in numbers]) / 2  # (n,)
    lower, middle, upper = np.quantile(sides, (0.25, 0.5, 0.75))
    far = np.maximum(
        sides - np.maximum(upper + FENCE * (upper - lower), middle + np.log(UNLIKE)),
        np.minimum(lower - FENCE * (upper - lower), middle - np.log(UNLIKE)) - sides,
    )
    odd = np.flatnonzero(far >= 0)
    odd = odd[np.argsort(-np.abs(sides[odd] - middle), kind="stable")]
    return [(float(np.exp(sides[at] - middle)), numbers[at]) for at in odd.tolist()]
