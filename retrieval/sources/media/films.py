"""Read films: a picture every few seconds or at every change of scene, and the picture at one moment."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from indexes.distribution import pip_install
from retrieval.errors import OptionError
from retrieval.sources.decoding import MAX_PIXELS, image_error
from retrieval.sources.media.film_frames import picture, small
from retrieval.sources.media.film_packets import TOLERANCE, Plan, TimeGrid
from retrieval.sources.media.inputs import MediaSource, name_of, not_read, opened
from retrieval.sources.media.scenes import Scenes, nearly_equal

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from PIL import Image

    from retrieval.errors import ImageError

__all__ = ["EVERY", "Every", "Moment", "moments", "picture_at"]

Every: TypeAlias = 'float | Literal["scenes"]'
"""Seconds between two pictures, or the word for one picture a scene."""

EVERY: Final = 1.0
"""Seconds between two pictures."""

_LEAST_SECONDS = 0.01
_MISSING = Fraction(1, 16)  # of a film's length, that may be missing at its end before that is said
_MISSING_SECONDS = 2  # and at least so many
_SEEK_BACK = (0, 10)  # seconds: where a container's index is coarse, a seek may land too late

# Containers that hold a film in one file. Playlists are not among them: they would open other files.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,flv,ogg,mxf,gxf,rm,ivf,nut,dv,h264,hevc,m4v,obu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One picture of a film.

    Attributes:
        seconds: since the film's beginning, to the millisecond.
        picture: upright RGB.
    """

    seconds: float
    picture: Image.Image


@dataclass(slots=True, kw_only=True)
class _Film:
    """An open film, and what is known of it.

    Attributes:
        start: its first time, in seconds as its packets have it.
        ended: the largest end of its packets so far, in seconds since its start.
        frames: how many were decoded.
        problem: what went wrong last while packets were read or decoded.
    """

    container: Any
    stream: Any
    start: Fraction
    name: str | os.PathLike[str]
    ended: Fraction = Fraction(0)
    frames: int = 0
    problem: str = ""

    def seconds(self, ticks: int) -> Fraction:
        """Return seconds since the start."""
        return ticks * Fraction(self.stream.time_base) - self.start

    @property
    def length(self) -> Fraction | None:
        """Seconds that the container states for the pictures; None if it does not tell."""
        if self.stream.duration:
            return Fraction(self.stream.duration * self.stream.time_base)
        if self.container.duration and len(self.container.streams) == 1:
            return Fraction(self.container.duration, 1_000_000)
        return None


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
        with _opened(film, name, threads=1, max_pixels=max_pixels) as found:
            if back is not None and not _seek(found, wanted - back):
                continue
            frame, exact = _first_at(found, wanted)
            if frame is not None and (exact or back is None):
                return picture(frame, found.stream.sample_aspect_ratio)
    raise _nothing_decoded(found)


def _spacing(every: Every) -> Fraction | None:
    """Return the seconds between two pictures as they are written; None for scenes."""
    if every == "scenes":
        return None
    if isinstance(every, str) or not _LEAST_SECONDS <= every < math.inf:
        raise OptionError(f'every is {every!r}; it is a number of seconds from {_LEAST_SECONDS}, or "scenes"')
    return Fraction(str(float(every)))


def _moments(
    film: MediaSource,
    spacing: Fraction | None,
    distinct: bool,
    threads: int,
    max_pixels: int,
    name: str | os.PathLike[str],
) -> Iterator[Moment]:
    with _opened(film, name, threads=threads, max_pixels=max_pixels) as found:
        scenes = Scenes() if spacing is None else None
        grid = None
        if spacing is not None:
            grid = TimeGrid(every=spacing, start=found.start, time_base=Fraction(found.stream.time_base))
        last, slot, told = None, -1, -1.0
        for frame in _frames(found, grid):
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


@contextmanager
def _opened(
    source: MediaSource, name: str | os.PathLike[str], *, threads: int, max_pixels: int
) -> Iterator[_Film]:
    """Open a film and the decoder of its pictures.

    Raises:
        ImageError: as `moments` does.
    """
    try:
        import av
    except ImportError as error:
        raise image_error("needs-video", name, f"is a film; {pip_install('video')} reads it") from error
    with opened(source, name) as file:
        try:
            # Opened here, not by its name: a name may be an address, or a list of other files.
            container: Any = av.open(
                file,
                metadata_errors="ignore",
                options={"format_whitelist": _CONTAINERS, "protocol_whitelist": ""},
            )
        except av.error.FFmpegError as error:
            raise image_error(
                "unreadable", name, f"is no film, or a broken one ({error.strerror})"
            ) from error
        except OSError as error:
            raise not_read(error, name) from error
        with container:
            stream = _pictures(container, name)
            decoder = stream.codec_context
            size = decoder.width * decoder.height
            if size > max_pixels:
                raise image_error(
                    "too-large",
                    name,
                    f"has {decoder.width} x {decoder.height} pixels, the limit is {max_pixels:,}; "
                    f"--max-pixels {size} reads it",
                )
            decoder.thread_type = "AUTO"
            decoder.thread_count = threads
            decoder.options = {"max_pixels": str(max_pixels)}
            start = container.start_time
            if start is None:
                begins = Fraction(stream.start_time * stream.time_base) if stream.start_time else Fraction(0)
            else:
                begins = Fraction(start, 1_000_000)
            yield _Film(container=container, stream=stream, start=begins, name=name)


def _pictures(container: Any, name: str | os.PathLike[str]) -> Any:
    """Return the stream of a film's pictures, not of a cover or a thumbnail."""
    from av.stream import Disposition

    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams:
        raise image_error("no-video", name, "holds no moving pictures")
    stream = max(streams, key=lambda stream: bool(stream.disposition & Disposition.default))
    if stream.codec_context is None:
        raise image_error("unsupported", name, "is coded in a way that nothing here reads")
    return stream


def _packets(film: _Film) -> Iterator[Any]:
    """Yield a film's packets, as far as they can be read."""
    import av

    packets = film.container.demux(film.stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError as error:
            film.problem = str(error.strerror)
            return
        except OSError as error:
            raise not_read(error, film.name) from error
        if packet.size:
            if packet.pts is not None:
                film.ended = max(film.ended, film.seconds(packet.pts + (packet.duration or 0)))
            yield packet


def _frames(film: _Film, grid: TimeGrid | None) -> Iterator[Any]:
    """Yield the frames that are decoded, in the order of showing; each has a time."""
    decoder = film.stream.codec_context
    plan = Plan(grid)
    for step in plan.steps(_packets(film)):
        if step.fresh:
            yield from _decoded(film, None)
            decoder.flush_buffers()
        decoder.skip_frame = "NONREF" if step.skippable else "DEFAULT"
        for frame in _decoded(film, step.packet):
            plan.learn(frame)
            yield frame
    yield from _decoded(film, None)


def _decoded(film: _Film, packet: Any | None) -> list[Any]:
    """Return what a packet, or the end of the packets, makes the decoder give."""
    import av

    try:
        frames = [
            frame
            for frame in film.stream.codec_context.decode(packet)
            if frame.width and not frame.is_corrupt
        ]
    except av.error.FFmpegError as error:
        film.problem = str(error.strerror)
        return []
    for frame in frames:
        if frame.pts is None:
            rate = film.stream.average_rate or film.stream.guessed_rate or 25
            frame.pts = round((film.start + Fraction(film.frames) / rate) / film.stream.time_base)
            frame.time_base = film.stream.time_base
        film.frames += 1
    return frames


def _require_whole(film: _Film) -> None:
    """Raise an error for a film that ended before its time, or gave nothing."""
    if not film.frames:
        raise _nothing_decoded(film)
    length = film.length
    if length is None or length - film.ended <= max(Fraction(_MISSING_SECONDS), length * _MISSING):
        return
    missing = length - film.ended
    raise image_error(
        "truncated",
        film.name,
        f"is cut short: the last {float(missing):.0f} of {float(length):.0f} seconds are missing",
    )


def _nothing_decoded(film: _Film) -> ImageError:
    what = film.problem or "no picture comes out of its decoder"
    return image_error("unreadable", film.name, f"is broken ({what})")


def _seek(film: _Film, seconds: Fraction) -> bool:
    """Go to the keyframe at or before a time; say whether that was possible."""
    import av

    if film.stream.start_time is None or seconds <= 0:
        return False
    try:
        film.container.seek(math.floor((seconds + film.start) / film.stream.time_base), stream=film.stream)
    except av.error.FFmpegError:
        return False
    return True


def _first_at(film: _Film, wanted: Fraction) -> tuple[Any | None, bool]:
    """Return the first frame at or after a time, else the last one; and whether no frame in between was passed over."""
    last = None
    for frame in _all_frames(film):
        seconds = film.seconds(frame.pts)
        if seconds >= wanted:
            return frame, last is not None or seconds <= wanted + 2 * TOLERANCE
        last = frame
    return last, last is not None


def _all_frames(film: _Film) -> Iterator[Any]:
    for packet in _packets(film):
        yield from _decoded(film, packet)
    yield from _decoded(film, None)
