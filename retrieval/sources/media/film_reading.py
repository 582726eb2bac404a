"""Open films, and decode frames of them: those that are asked for, or all from a time on."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from indexes.distribution import pip_install
from retrieval.sources.decoding import image_error
from retrieval.sources.media.film_packets import Plan, TimeGrid
from retrieval.sources.media.inputs import MediaSource, not_read, opened

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from retrieval.errors import ImageError

# Containers that hold a film in one file. Playlists are not among them: they would open other files.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,flv,ogg,mxf,gxf,rm,ivf,nut,dv,h264,hevc,m4v,obu"


@dataclass(slots=True, kw_only=True)
class Film:
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


def require_av(name: str | os.PathLike[str]) -> None:
    """Raise the error for a film that cannot be read because the extra is missing.

    Raises:
        ImageError: ``needs-video``.
    """
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise image_error("needs-video", name, f"is a film; {pip_install('video')} reads it") from error


@contextmanager
def open_film(
    source: MediaSource, name: str | os.PathLike[str], *, threads: int, max_pixels: int
) -> Iterator[Film]:
    """Open a film and the decoder of its pictures.

    Raises:
        ImageError: as `moments` does.
    """
    require_av(name)
    import av

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
            yield Film(container=container, stream=stream, start=begins, name=name)


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


def _packets(film: Film) -> Iterator[Any]:
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


def planned_frames(film: Film, grid: TimeGrid | None) -> Iterator[Any]:
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


def _decoded(film: Film, packet: Any | None) -> list[Any]:
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


def nothing_decoded(film: Film) -> ImageError:
    """Return the error for a film of which no frame could be decoded."""
    what = film.problem or "no picture comes out of its decoder"
    return image_error("unreadable", film.name, f"is broken ({what})")


def seek(film: Film, seconds: Fraction) -> bool:
    """Go to the keyframe at or before a time; say whether that was possible."""
    import av

    if film.stream.start_time is None or seconds <= 0:
        return False
    try:
        film.container.seek(math.floor((seconds + film.start) / film.stream.time_base), stream=film.stream)
    except av.error.FFmpegError:
        return False
    return True


def all_frames(film: Film) -> Iterator[Any]:
    """Yield every frame from where the film stands."""
    for packet in _packets(film):
        yield from _decoded(film, packet)
    yield from _decoded(film, None)
