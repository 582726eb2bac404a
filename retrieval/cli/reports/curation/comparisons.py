"""Print how two encoders differ: neighbours that they share, quality by labels, groups about which they agree least."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.display import escape
from retrieval.render import fields, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrieval.curation.compare import Comparison
    from retrieval.evaluation.copy_detection import Interval

_MEASURES = (("knn_", "kNN "), ("map_at_", "mAP@"), ("words_precision_at_", "words@"))
_LEAST = 5  # words that are named
_WIDE = 100  # columns of a table of three intervals


def comparison_table(found: Comparison) -> str:
    """Write what was measured."""
    how = "a sample that was encoded for this" if found.encoded else "that both have"
    text = fields(
        [
            ("a", f"{escape(found.a)}, {found.dim_a:,} dimensions"),
            ("b", f"{escape(found.b)}, {found.dim_b:,} dimensions"),
            ("images", f"{found.images:,}, {how}; {found.queries:,} of them asked for"),
            ("same", f"{_interval(found.overlap)} of {found.k} neighbours; by chance {found.chance:.3f}"),
            ("same first", f"{_interval(found.same_first)}"),
            *_words(found),
        ]
    )
    if found.quality:
        rows = [
            (_measure(one.measure), _interval(one.a), _interval(one.b), _interval(one.difference, "+"))
            for one in (*found.quality, *(found.words.quality if found.words else ()))
        ]
        text += table(("measure", "a", "b", "b - a"), rows, columns=_WIDE)
    if found.groups:
        named = ("group", "images", "same") + (("kNN a", "kNN b") if found.quality else ())
        lines = [
            (escape(group.name) or "-", f"{group.queries:,}", f"{group.overlap:.3f}")
            + ((_share(group.knn_a), _share(group.knn_b)) if found.quality else ())
            for group in found.groups
        ]
        text += table(named, lines)
    return text


def comparison_notes(found: Comparison) -> Iterator[str]:
    """Yield what there is to say besides the numbers."""
    if found.quality:
        yield escape(found.verdict)
        yield f"right by b alone: {found.wins:,} images; by a alone: {found.losses:,}"
    left_out = [
        (found.only_a, "in a alone"),
        (found.only_b, "in b alone"),
        (found.changed, "with other bytes"),
        (found.unreadable, "that cannot be read"),
        (found.copies, "that are exact copies of others"),
    ]
    told = ", ".join(f"{count:,} {what}" for count, what in left_out if count)
    if told:
        yield f"images left out: {told}"


def _words(found: Comparison) -> Iterator[tuple[str, str]]:
    """Yield what words found by both, or why none was asked."""
    words = found.words
    if words is None:
        yield "words", f"not asked: {escape(found.wordless)}"
        return
    yield (
        "words",
        f"{_interval(words.overlap)} of {found.k} images, {words.words:,} words; by chance {words.chance:.3f}",
    )
    least = ", ".join(f"{escape(one.word)} {one.overlap:.1f}" for one in words.least[:_LEAST])
    yield "differ on", least


def _measure(name: str) -> str:
    for own, shown in _MEASURES:
        name = name.replace(own, shown)
    return name


def _interval(found: Interval, sign: str = "") -> str:
    return f"{found.value:{sign}.3f} ({found.low:{sign}.3f} to {found.high:{sign}.3f})"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
