"""Choose which image of a set stays, and say why."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from retrieval.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

KEEP: Final = ("best", "largest", "oldest", "newest", "first")
"""Rules for who stays."""

IN_REFERENCE: Final = "in a reference folder"
"""Why an image stays that never goes."""

_LOSSLESS: Final = 100
_CAMERA: Final = re.compile(
    r"(IMG|_MG|DSC|DSCN|DSCF|_DSC|P\d{3}|PXL|GOPR|DJI|CIMG|SAM|WP)_?\d{3,}", re.IGNORECASE
)
_COPY: Final = re.compile(r"\(\d+\)|\b(copy|copie|copia|kopie)\b", re.IGNORECASE)
_EQUAL_SHARPNESS: Final = 1.02
"""Ratio of sharpness up to which two images are equally sharp: saving again makes an image seem a little sharper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What the rules look at.

    Attributes:
        id: the row.
        path: its key.
        width, height: in pixels; 0 where the image was not read.
        size_bytes: of its file.
        quality: what compression left, 1 to 100; 100 for a format without loss; 0 where it is not known.
        sharpness: more is sharper; comparable between images of one size only.
        has_camera: the file says with what it was taken.
        time: modification time in nanoseconds; None where there is none.
        is_reference: it lies in a folder that is never listed to go.
        is_link: the file is a symbolic link to another one.
        said: 1 if a person said that it stays, -1 if that it goes, else 0.
    """

    id: int
    path: str
    width: int = 0
    height: int = 0
    size_bytes: int = 0
    quality: int = 0
    sharpness: float = 0.0
    has_camera: bool = False
    time: int | None = None
    is_reference: bool = False
    is_link: bool = False
    said: int = 0


def check_rule(rule: str) -> str:
    """Return a rule.

    Raises:
        OptionError: there is no such rule.
    """
    if rule not in KEEP:
        raise OptionError(f"`keep` is {rule!r}; choose one of {', '.join(KEEP)}")
    return rule


def order_of(rule: str) -> Callable[[Candidate], tuple[object, ...]]:
    """Return what orders candidates, the one that stays first; the same for any order that they come in."""
    return lambda one: (-one.said, not one.is_reference, one.is_link, *_RULES[rule](one), *_by_name(one))


def order_among_equals(rule: str) -> Callable[[Candidate], tuple[object, ...]]:
    """Return what orders candidates that show equal pixels: for ``best`` the one with the camera's data, then the smaller file."""
    if rule != "best":
        return order_of(rule)
    return lambda one: (
        -one.said, not one.is_reference, one.is_link, not one.has_camera, one.size_bytes, *_by_name(one),
    )  # fmt: skip


def why(rule: str, stays: Candidate, others: list[Candidate], *, equal: bool) -> str:
    """Say in a few words why an image stays rather than the others; ``equal``: all show equal pixels."""
    if stays.said > 0 or any(other.said < 0 for other in others):
        return "you decided so"
    if stays.is_reference:
        return IN_REFERENCE
    if rule == "oldest" and _differ("time", stays, others):
        return "the oldest file"
    if rule == "newest" and _differ("time", stays, others):
        return "the newest file"
    if rule == "first":
        return "the first in the collection"
    if rule == "largest" and _differ("size_bytes", stays, others):
        return "the largest file"
    if rule == "best":
        if any(other.width * other.height != stays.width * stays.height for other in others):
            return f"most pixels: {stays.width} × {stays.height}"
        if any(other.quality < stays.quality for other in others):
            return "least compressed"
        if any(_sharpness(stays) > _sharpness(other) for other in others):
            return "the sharpest"
        if _differ("has_camera", stays, others):
            return "has the camera's data"
        if equal and _differ("size_bytes", stays, others):
            return "the smaller file of the same pixels"
        if any(other.size_bytes < stays.size_bytes for other in others):
            return "the larger file"
    if any(_name_rank(other) != _name_rank(stays) for other in others):
        return "named by a camera" if _name_rank(stays) == 0 else "not named a copy"
    return (
        "the shortest name"
        if _name_length(stays) < min(map(_name_length, others), default=0)
        else "the first by name"
    )


def _differ(name: str, stays: Candidate, others: list[Candidate]) -> bool:
    return any(getattr(other, name) != getattr(stays, name) for other in others)


def _by_name(one: Candidate) -> tuple[object, ...]:
    """Order files that are equal otherwise: cameras count, and programs mark copies and make their names longer."""
    return (_name_rank(one), _name_length(one), one.path.count("/"), one.path, one.id)


def _name_length(one: Candidate) -> int:
    return len(os.path.basename(one.path))


def _name_rank(one: Candidate) -> int:
    """Return 0 for a name that a camera gave, 2 for one that a program gave a copy, 1 for others."""
    name = os.path.basename(one.path)
    return 2 if _COPY.search(name) else 0 if _CAMERA.match(name) else 1


def _best(one: Candidate) -> tuple[object, ...]:
    return (-one.width * one.height, -one.quality, -_sharpness(one), not one.has_camera, -one.size_bytes)


def _sharpness(one: Candidate) -> int:
    """Return the sharpness in steps; images on one step are equally sharp."""
    return round(math.log(max(one.sharpness, 1e-3), _EQUAL_SHARPNESS))


_RULES: Final[dict[str, Callable[[Candidate], tuple[object, ...]]]] = {
    "best": _best,
    "largest": lambda one: (-one.size_bytes,),
    "oldest": lambda one: (one.time is None, one.time or 0),
    "newest": lambda one: (one.time is None, -(one.time or 0)),
    "first": lambda one: (one.id,),
}
