"""Plot measurements as SVG (extra ``plot``)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.distribution import pip_install
from retrieval.errors import MissingExtra, OptionError, RetrievalError
from retrieval.render import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIXES = (".svg", ".png", ".pdf")


def require(path: str | os.PathLike[str]) -> Path:
    """Refuse, before anything is measured for it, a figure that cannot be drawn.

    Raises:
        MissingExtra: matplotlib is not installed.
        OptionError: another suffix than ``.svg``, ``.png`` or ``.pdf``, or no such folder.
    """
    where = Path(path)
    if where.suffix.lower() not in SUFFIXES:
        raise OptionError(
            f"{where}: name it {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, as figures are written"
        )
    if not where.parent.is_dir():
        raise OptionError(f"{where}: no such folder; make {where.parent} first")
    if find_spec("matplotlib") is None:
        raise MissingExtra(f"a figure needs matplotlib, which is not installed: {pip_install('plot')}")
    return where


@contextmanager
def figure(path: str | os.PathLike[str], *, width: float, height: float, panels: int) -> Iterator[Any]:
    """Yield the axes of a new figure, ``panels`` of them in a row, and write it to ``path`` at the end.

    The figure is the caller's alone: no global state of matplotlib is touched, so that threads may draw.

    Args:
        path: see `require`.
        width, height: inches.
        panels: axes side by side.
    """
    where = require(path)
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    yield made.subplots(1, panels, squeeze=False)[0]
    form = where.suffix.lower().removeprefix(".")
    try:
        with replacing(where) as file:
            made.savefig(file, format=form, metadata={"Date": None} if form == "svg" else None)
    except RetrievalError:
        raise
    except OSError as error:
        raise OptionError(f"{where}: the figure cannot be written ({error.strerror})") from error


def widths(path: str | os.PathLike[str], dims: Sequence[Mapping[str, Any]]) -> None:
    """Draw recall against bytes and against time, one point a width, alone and reranked.

    Args:
        path: see `require`.
        dims: what `retrieve evaluate --json` gives as ``dims``.
    """
    with figure(path, width=9, height=3.6, panels=2) as (left, right):
        sizes = [row["bytes_per_vector"] for row in dims]
        times = [row["latency_ms"]["p50"] for row in dims]
        reranked = [row["recall_at_10_reranked"] for row in dims]
        left.plot(sizes, [row["recall_at_10"] for row in dims], "o--", color="tab:gray", label="prefix alone")
        left.plot(sizes, reranked, "o-", color="tab:blue", label="reranked at full width")
        left.set_xscale("log", base=2)
        left.set_xticks(sizes, [f"{size:.0f}" for size in sizes])
        left.set_xlabel("bytes a vector (float16)")
        # No line: a wider prefix is not always slower, and a line through the widths would run backwards.
        right.plot(times, reranked, "o", color="tab:blue", label="reranked at full width")
        right.set_xlabel("one query, median, ms (one thread)")
        for axes, places in ((left, sizes), (right, times)):
            axes.set_ylabel("recall@10 against exact search")
            axes.grid(alpha=0.3)
            axes.margins(0.12)  # room for the widths beside the outermost points
            axes.legend()
            for place, row in zip(places, dims, strict=True):
                axes.annotate(
                    str(row["dim"]),
                    (place, row["recall_at_10_reranked"]),
                    textcoords="offset points",
                    xytext=(0, 6),
                    ha="center",
                )
