"""Show progress: a bar on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from retrieval.cli.frame import interrupts
from retrieval.cli.frame.advice import in_options
from retrieval.display import PHASES, Bar, duration, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from retrieval.cli.frame.options import Session
    from retrieval.progress import Progress

EVERY_SECONDS = 10.0


@contextmanager
def watching(session: Session) -> Iterator[Callable[[Progress], None] | None]:
    """Give the callback that suits stderr, or `None` under ``--quiet``; whatever it drew is gone at the end.

    Nobody may be reading stderr any more: that ends no build. From here on an interrupt is an exception: work has begun.
    """
    interrupts.raise_from_now_on()
    if session.quiet or sys.stderr is None:
        yield None
        return
    view = Bar(sys.stderr, say=in_options) if sys.stderr.isatty() else Lines(sys.stderr)

    def show(progress: Progress) -> None:
        with suppress(OSError):
            view(progress)

    try:
        yield show
    finally:
        with suppress(OSError):
            view.close()


class Lines:
    """Plain lines, for logs: each message, the first step of each phase that lasts, then one line every ten seconds."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._phase = ""
        self._began = self._said = clock()
        self._first = 0

    def __call__(self, progress: Progress) -> None:
        """Take note of one event, and print a line if one is due."""
        now = self._clock()
        if progress.message:
            print(escape(in_options(progress.message)), file=self._stream, flush=True)
        if progress.phase != self._phase:
            self._phase, self._began, self._first = progress.phase, now, progress.done
        if now - self._said >= EVERY_SECONDS:
            self._said = now
            print(self._line(progress, now), file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to take away."""

    def _line(self, progress: Progress, now: float) -> str:
        of = f" of {progress.total:,}" if progress.total else ""
        words, unit = PHASES.get(progress.phase, (progress.phase, ""))
        parts = [f"{words}: {progress.done:,}{of} {unit}".rstrip()]
        rate = (progress.done - self._first) / max(now - self._began, 1e-9)
        if rate > 0:
            parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
            if progress.total:
                parts.append(f"{duration((progress.total - progress.done) / rate)} left")
        if progress.skipped:
            parts.append(f"{progress.skipped:,} skipped")
        return ", ".join(parts)
