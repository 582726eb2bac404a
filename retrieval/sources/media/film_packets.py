"""Choose which packets of a film are decoded: those that a wanted frame needs, and no others."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_REORDERED = 16  # frames; no codec shows a frame later than so many others
_INTRA = 1  # libavutil, AVPictureType
_AHEAD = 2 * _REORDERED + 2
_HELD_PACKETS, _HELD_BYTES = 1000, 32 << 20  # compressed ones that may turn out not to be needed

TOLERANCE = Fraction(1, 1000)
"""Seconds by which a frame may come early: containers round times to milliseconds."""


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """Times ``0, every, 2 * every, …`` of a film.

    Attributes:
        every: the distance in seconds.
        start: the film's first time, in seconds as its packets have it.
        time_base: seconds of one tick of a packet's time.
    """

    every: Fraction
    start: Fraction
    time_base: Fraction

    def slot(self, pts: int) -> int:
        """Return how many times of the grid, less one, are at or before a packet's time."""
        return (pts * self.time_base - self.start + TOLERANCE) // self.every


@dataclass(frozen=True, slots=True)
class Step:
    """What the decoder gets next.

    Attributes:
        packet: to decode.
        skippable: its frame is not wanted: decoded only if others refer to it.
        fresh: the decoder forgets what it has, because packets before this one were left out.
    """

    packet: Any
    skippable: bool
    fresh: bool = False


@dataclass(slots=True)
class _Lookahead:
    """The next packets in the order of decoding, and the times of those around them in the order of showing."""

    grid: TimeGrid
    packets: deque[Any] = field(default_factory=deque)
    times: list[int] = field(default_factory=list)

    def add(self, packet: Any) -> None:
        self.packets.append(packet)
        if not packet.is_discard:  # what an edit list cuts is decoded, and never shown
            insort(self.times, packet.pts)

    def pop(self) -> Any:
        packet = self.packets.popleft()
        if len(self.times) > 4 * _AHEAD:
            del self.times[: 2 * _AHEAD]
        return packet

    def wanted(self, packet: Any) -> bool:
        """Say whether a packet's frame is the first at or after a time of the grid."""
        if packet.is_discard:
            return False
        at = bisect_left(self.times, packet.pts)
        slot = self.grid.slot(packet.pts)
        return slot >= 0 if at == 0 else slot > max(-1, self.grid.slot(self.times[at - 1]))

    def needs_before(self, key: Any) -> bool:
        """Say whether a wanted frame that is shown before a keyframe comes after it in the stream."""
        following = list(self.packets)[: _REORDERED + 1]
        return any(other.pts < key.pts and self.wanted(other) for other in following)


class Plan:
    """What to decode of a film, so that each frame that is first at or after a time of the grid comes out.

    Packets between a wanted frame and the keyframe before the next one are left out. Frames to which no other refers are
    skipped by the decoder. Where packets have no times, all are decoded.

    Args:
        grid: the wanted times; None: every frame to which others refer.
    """

    def __init__(self, grid: TimeGrid | None) -> None:
        self._grid = grid
        self._keys: set[int] = set()
        self._first_key: int | None = None
        self._whole_keys: bool | None = (
            None  # the last keyframe was a picture of its own; None: a second one is to come
        )
        self._interlaced = False  # each half is a packet, so that none is skipped
        self._held: list[Any] = []
        self._held_bytes = 0
        self._fresh = False
        self._due: int | None = None  # time of a wanted frame that has not come out yet

    def learn(self, frame: Any) -> None:
        """Take a decoded frame: whether a film's keyframes stand alone is known once one has come out.

        Films that are refreshed piece by piece mark frames as keyframes from which pictures become right only later.
        """
        self._interlaced = self._interlaced or frame.interlaced_frame
        if self._due is not None and frame.pts >= self._due:
            self._due = None
        if frame.pts in self._keys:
            self._keys.discard(frame.pts)
            self._whole_keys = frame.pict_type == _INTRA

    def steps(self, packets: Iterable[Any]) -> Iterator[Step]:
        """Yield what the decoder gets of the packets of one stream, which are in the order of decoding."""
        if self._grid is None:
            for packet in packets:
                yield Step(packet, skippable=not self._interlaced)
            return
        packets = iter(packets)
        ahead = _Lookahead(self._grid)
        for packet in packets:
            if packet.pts is None:
                for other in (*self._held, *ahead.packets, packet):
                    yield Step(other, skippable=False)
                yield from (Step(other, skippable=False) for other in packets)
                return
            ahead.add(packet)
            if len(ahead.packets) > _AHEAD:
                yield from self._next(ahead)
        while ahead.packets:
            yield from self._next(ahead)

    def _next(self, ahead: _Lookahead) -> Iterator[Step]:
        """Take the next packet; yield what is decoded because of it."""
        packet, held = ahead.pop(), self._held
        if packet.is_keyframe:
            if self._first_key is None:
                self._first_key = packet.pts
            elif self._whole_keys and held and not ahead.needs_before(packet):
                held.clear()
                self._held_bytes, self._fresh = 0, True
            else:
                self._keys.add(packet.pts)
        wanted = ahead.wanted(packet)
        held.append(packet)
        self._held_bytes += packet.size
        if wanted:
            self._due = packet.pts
        elif self._may_hold():
            return
        sent, self._held, self._held_bytes = held, [], 0
        for other in sent:
            fresh, self._fresh = self._fresh, False
            skippable = not self._interlaced and (other is not packet or not wanted)
            yield Step(other, skippable=skippable, fresh=fresh)

    def _may_hold(self) -> bool:
        """Say whether packets may wait until it is known whether they are needed."""
        if self._due is not None:
            return False  # a wanted frame has not come out: it may be broken, and the next one has to serve
        if self._whole_keys is None and self._keys:
            return False  # the second keyframe is under way, and tells what keyframes are
        return len(self._held) < _HELD_PACKETS and self._held_bytes < _HELD_BYTES
