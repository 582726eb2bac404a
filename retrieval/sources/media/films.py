"""Read films: a picture every few seconds or at every change of scene, and the picture at one moment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from retrieval.errors import OptionError
from retrieval.sources.decoding import MAX_PIXELS, image_error
from retrieval.sources.media.film_frames import picture, small
from retrieval.sources.media.film_packets import TOLERANCE, TimeGrid
from retrieval.sources.media.film_reading import (
    Film,
    all_frames,
    nothing_decoded,
    open_film,
    planned_frames,
    seek,
)
from retrieval.sources.media.inputs import MediaSource, name_of
from retrieval.sources.media.parts import LEAST_SECONDS, SCENES
from retrieval.sources.media.scenes import Scenes, nearly_equal

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from PIL import Image


Every: TypeAlias = 'float | Literal["scenes"]'
"""Seconds between two pictures, or the word for one picture a scene."""

EVERY: Final = 1.0
"""Seconds between two pictures."""

_MISSING = Fraction(1, 16)  # of a film's length, that may be missing at its end before that is said
_MISSING_SECONDS = 2  # and at least so many
_SEEK_BACK = (0, 10)  # seconds: where a container's index is coarse, a seek may land too late


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One picture of a film.

    Attributes:
        seconds: since the film's beginning, to the millisecond.
        picture: upright RGB.
    """

    seconds: float
    picture: Image.Image


def moments(
    film: MediaSource,
    *,
    every: Every = EVERY,
    distinct: bool = True,
    threads: int = 1,
    max_pixels: int = MAX_PIXELS,
    name: str | os.PathLike[str] | None = None,
) -> Iterator[Moment]:
    """Yield pictures of a film in the order of time; frames that no picture needs are not decoded.

    With a number, one picture for each of the times ``0, every, 2 * every, …``: the first frame at or after it. With
    ``"scenes"``, the first frame of each scene, and one more wherever a long scene has come to look different.

    Args:
        film: a path, bytes, or an open binary file that can be sought.
        every: seconds, or ``"scenes"``.
        distinct: leave out a picture that is nearly equal to the one before it.
        threads: of the decoder.
        max_pixels: how many pixels a frame may have.
        name: what messages call a film that has no path.
    Raises:
        ImageError: before the first picture: ``empty``, ``unreadable`` (no film, or a broken one), ``no-video`` (sound only),
            ``unsupported`` (no decoder knows it), ``too-large``, ``needs-video`` (the extra is missing), or one of
            `retrieval.sources.media.inputs.opened`; behind the last one: ``truncated``, the film ends too early.
        OptionError: ``every`` or ``threads`` is out of range.
    """
    spacing = _spacing(every)
    if threads < 1:
        raise OptionError(f"threads is {threads}; a film is decoded by at least one")
    return _moments(film, spacing, distinct, threads, max_pixels, name_of(film, name, "film"))


def picture_at(
    film: MediaSource,
    seconds: float,
    *,
    max_pixels: int = MAX_PIXELS,
    name: str | os.PathLike[str] | None = None,
) -> Image.Image:
    """Return the first picture of a film at or after a time, upright RGB; behind the film's end the last one.

    Raises:
        ImageError: as `moments` does.
    """
    name = name_of(film, name, "film")
    wanted = Fraction(seconds).limit_denominator(1000) - TOLERANCE
    for back in (*_SEEK_BACK, None):
        with open_film(film, name, threads=1, max_pixels=max_pixels) as found:
            if back is not None and not seek(found, wanted - back):
                continue
            frame, exact = _first_at(found, wanted)
            if frame is not None and (exact or back is None):
                return picture(frame, found.stream.sample_aspect_ratio)
    raise nothing_decoded(found)


def _spacing(every: Every) -> Fraction | None:
    """Return the seconds between two pictures as they are written; None for scenes."""
    if every == SCENES:
        return None
    if isinstance(every, str) or not LEAST_SECONDS <= every < math.inf:
        raise OptionError(
            f'every is {every!r}; it is a number of seconds from {LEAST_SECONDS}, or "{SCENES}"'
        )
    return Fraction(str(float(every)))


def _moments(
    film: MediaSource,
    spacing: Fraction | None,
    distinct: bool,
    threads: int,
    max_pixels: int,
    name: str | os.PathLike[str],
) -> Iterator[Moment]:
    with open_film(film, name, threads=threads, max_pixels=max_pixels) as found:
        scenes = Scenes() if spacing is None else None
        grid = None
        if spacing is not None:
            grid = TimeGrid(every=spacing, start=found.start, time_base=Fraction(found.stream.time_base))
        last, slot, told = None, -1, -1.0
        for frame in planned_frames(found, grid):
            if grid is not None:
                if grid.slot(frame.pts) <= slot:
                    continue
                slot = grid.slot(frame.pts)
            seconds = round(float(max(found.seconds(frame.pts), Fraction(0))), 3)
            if scenes is not None or distinct:
                reduced = small(frame)
                if scenes is not None and not scenes.begins(reduced, seconds):
                    continue
                if distinct and last is not None and nearly_equal(reduced, last):
                    continue
                last = reduced
            if seconds > told:
                told = seconds
                yield Moment(seconds=seconds, picture=picture(frame, found.stream.sample_aspect_ratio))
        _require_whole(found)


def _require_whole(film: Film) -> None:
    """Raise an error for a film that ended before its time, or gave nothing."""
    if not film.frames:
        raise nothing_decoded(film)
    length = film.length
    if length is None or length - film.ended <= max(Fraction(_MISSING_SECONDS), length * _MISSING):
        return
    missing = length - film.ended
    raise image_error(
        "truncated",
        film.name,
        f"is cut short: the last {float(missing):.0f} of {float(length):.0f} seconds are missing",
    )


def _first_at(film: Film, wanted: Fraction) -> tuple[Any | None, bool]:
    """Return the first frame at or after a time, else the last one; and whether no frame in between was passed over."""
    last = None
    for frame in all_frames(film):
        seconds = film.seconds(frame.pts)
        if seconds >= wanted:
            return frame, last is not None or seconds <= wanted + 2 * TOLERANCE
        last = frame
    return last, last is not None
