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

_STYLE: Final = """
:root { --row: 104px; }
.pair { display: grid; grid-template-columns: minmax(130px, 1fr) 5fr; gap: 8px 20px; margin: 20px 0 32px; }
.pair > .hits { align-content: start; }
.side { margin: 0 0 4px; color: var(--soft); font-size: 13px; }
.hits + .side { margin-top: 18px; }
section { margin: 0; border-top: 1px solid var(--line); }
summary { padding: 12px 0; cursor: pointer; }
summary h2 { display: inline; font-size: 18px; }
summary span { margin-left: 10px; color: var(--soft); }
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
        shown.section(f"Found by {found.b} alone", f"{found.wins:,} images", found.won, opened=True),
        shown.section(f"Found by {found.a} alone", f"{found.losses:,} images", found.lost),
        *map(shown.word, words),
        *(
            shown.section(
                group.name or "a group without a name", f"{group.overlap:.0%} the same", group.images
            )
            for group in found.groups
        ),
    ]
    return image_page(
        f"{found.a} and {found.b}",
        note=f"{found.verdict}{'. ' if found.verdict else ''}{found.queries:,} of {found.images:,} images were asked for. "
        f"Both encoders find {found.overlap.value:.0%} of the {found.k} nearest of each.{_of_words(found)}",
        contents=_table(found),
        sections="\n".join(filter(None, sections)),
        footer=_FOOTER,
        style=_STYLE,
    )


def _of_words(found: Comparison) -> str:
    words = found.words
    if words is None:
        return ""
    return f" {words.words:,} words were asked, too: both find {words.overlap.value:.0%} of the first {found.k} images of each."


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


def _folded(heading: str, facts: str, inner: str, *, opened: bool = False) -> str:
    return (
        f"<section><details{' open' if opened else ''}><summary><h2>{heading}</h2> <span>{markup(facts)}</span></summary>\n"
        f"{inner}</details></section>"
    )


class _Shown:
    """Shows images beside their neighbours."""

    def __init__(self, found: Comparison, made: dict[Any, Thumbnail], beside: Path | None) -> None:
        self._found, self._made, self._beside = found, made, beside

    def section(
        self, heading: str, facts: str, images: Iterable[ComparedImage], *, opened: bool = False
    ) -> str:
        """Return images below a heading that unfolds them: all at once would be screens of pictures."""
        inner = "\n".join(map(self._pair, images))
        if not inner:
            return ""
        return _folded(f"<bdi>{markup(escape(heading))}</bdi>", facts, inner, opened=opened)

    def word(self, one: ComparedWord) -> str:
        """Return what both encoders find for a word."""
        inner = f'<div class="pair"><div></div><div>{self._sides(one)}</div></div>'
        return _folded(f"asked: <bdi>{markup(escape(one.word))}</bdi>", f"{one.overlap:.0%} the same", inner)

    def _sides(self, one: ComparedImage | ComparedWord) -> str:
        return "".join(
            f'<p class="side">{markup(escape(name))}</p><ol class="hits">{figures(images, self._made, self._beside)}</ol>'
            for name, images in ((self._found.a, one.a), (self._found.b, one.b))
        )

    def _pair(self, one: ComparedImage) -> str:
        label = f'<p class="side"><bdi>{markup(escape(one.label))}</bdi></p>' if one.label else ""
        own = f'<ol class="hits">{figures((one.image,), self._made, self._beside)}</ol>'
        return f'<div class="pair"><div>{label}{own}</div><div>{self._sides(one)}</div></div>'
