"""Write a page of a comparison: what each encoder finds nearest to the same images, side by side."""

from __future__ import annotations

from html import escape as markup
from typing import TYPE_CHECKING, Any, Final

from retrieval.curation.picks import figures, image_page, pictures
from retrieval.display import escape
from retrieval.render import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from retrieval.curation.compare.comparison import ComparedImage, ComparedWord, Comparison
    from retrieval.display import Thumbnail

__all__ = ["comparison_html", "write_comparison"]

_STYLE: Final = """
:root { --row: 104px; }
.pair { display: grid; grid-template-columns: minmax(130px, 1fr) 5fr; gap: 8px 20px; margin: 20px 0 32px; }
.pair > .hits { align-content: start; }
.side { margin: 0 0 4px; color: var(--soft); font-size: 13px; }
.hits + .side { margin-top: 18px; }
table { border-collapse: collapse; margin-top: 16px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 18px 5px 0; text-align: left; border-bottom: 1px solid var(--line); }
td span { color: var(--soft); font-size: 12px; }
@media (max-width: 640px) { .pair { grid-template-columns: 1fr; } table { display: block; overflow-x: auto; } }
"""
_FOOTER: Final = """The number below the first image is the share of its neighbours that both encoders find; below the others, their cosine.
Cosines of two encoders cannot be compared."""


def write_comparison(found: Comparison, path: Path) -> None:
    """Write the page to a file; its pictures link to the images, relative to where it lies."""
    with replacing(path) as file:
        file.write(comparison_html(found, beside=path.absolute().parent).encode())


def comparison_html(found: Comparison, *, beside: Path | None = None) -> str:
    """Return the page's HTML; pictures link to the images if it is to lie ``beside`` them."""
    examples = [*found.lost, *found.won, *(one for group in found.groups for one in group.images)]
    words = () if found.words is None else found.words.least
    made = pictures(
        [
            *(image for one in examples for image in (one.image, *one.a, *one.b)),
            *(image for one in words for image in (*one.a, *one.b)),
        ]
    )
    shown = _Shown(found, made, beside)
    sections = [
        shown.section(f"Found by {found.b} alone", f"{found.wins:,} images", found.won),
        shown.section(f"Found by {found.a} alone", f"{found.losses:,} images", found.lost),
        *map(shown.word, words),
        *(
            shown.section(
                group.name or "a group without a name", f"{group.overlap:.2f} the same", group.images
            )
            for group in found.groups
        ),
    ]
    return image_page(
        f"{found.a} and {found.b}",
        note=f"{found.images:,} images, {found.queries:,} of them asked for: of {found.k} neighbours of each, "
        f"{found.overlap.value:.2f} are the same.{_of_words(found)}",
        contents=_table(found),
        sections="\n".join(filter(None, sections)),
        footer=_FOOTER,
        style=_STYLE,
    )


def _of_words(found: Comparison) -> str:
    words = found.words
    if words is None:
        return ""
    return f" {words.words:,} words were asked, too: of the first {found.k} images of each, {words.overlap.value:.2f} are the same."


def _table(found: Comparison) -> str:
    if not found.quality:
        return ""
    heads = "".join(
        f'<th scope="col">{markup(escape(word))}</th>' for word in ("", found.a, found.b, "difference")
    )
    rows = "".join(
        f'<tr><th scope="row">{_measure(one.measure)}</th>'
        + "".join(
            f"<td>{part.value:{sign}.3f} <span>{part.low:{sign}.3f} to {part.high:{sign}.3f}</span></td>"
            for part, sign in ((one.a, ""), (one.b, ""), (one.difference, "+"))
        )
        + "</tr>"
        for one in (*found.quality, *(found.words.quality if found.words else ()))
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>\n"


def _measure(name: str) -> str:
    return name.replace("map_at_", "mAP@").replace("knn_", "kNN ").replace("words_precision_at_", "words@")


class _Shown:
    """Shows images beside their neighbours."""

    def __init__(self, found: Comparison, made: dict[Any, Thumbnail], beside: Path | None) -> None:
        self._found, self._made, self._beside = found, made, beside

    def section(self, heading: str, facts: str, images: Iterable[ComparedImage]) -> str:
        inner = "\n".join(map(self._pair, images))
        if not inner:
            return ""
        return (
            f'<section><div class="query"><h2><bdi>{markup(escape(heading))}</bdi></h2><p>{markup(facts)}</p></div>\n'
            f"{inner}</section>"
        )

    def word(self, one: ComparedWord) -> str:
        """Return what both encoders find for a word."""
        return (
            f'<section><div class="query"><h2>asked: <bdi>{markup(escape(one.word))}</bdi></h2><p>{one.overlap:.2f} the same</p></div>\n'
            f'<div class="pair"><div></div><div>{self._sides(one)}</div></div></section>'
        )

    def _sides(self, one: ComparedImage | ComparedWord) -> str:
        return "".join(
            f'<p class="side">{markup(escape(name))}</p><ol class="hits">{figures(images, self._made, self._beside)}</ol>'
            for name, images in ((self._found.a, one.a), (self._found.b, one.b))
        )

    def _pair(self, one: ComparedImage) -> str:
        label = f'<p class="side"><bdi>{markup(escape(one.label))}</bdi></p>' if one.label else ""
        own = f'<ol class="hits">{figures((one.image,), self._made, self._beside)}</ol>'
        return f'<div class="pair"><div>{label}{own}</div><div>{self._sides(one)}</div></div>'
