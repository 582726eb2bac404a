"""Write the page of an audit: what was found in one table, then the first images of each issue."""

from __future__ import annotations

from html import escape as markup
from typing import TYPE_CHECKING, Final

from retrieval.curation.pages import Pictures, write_picture_page
from retrieval.display import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from retrieval.curation.audit.audit_report import Audit
    from retrieval.curation.audit.issues import Issue, IssueImage

MOST: Final = 24
"""Images of one issue on a page."""
_SKIPPED: Final = 100
_LABELS: Final = 200


def write_audit(found: Audit, path: Path) -> None:
    """Write the page of an audit.

    Raises:
        CollectionNotFound: the collection is no longer there.
        StoreFull: no space left; a file that had the name stays.
    """
    pictures = Pictures(
        found.directory,
        {image.id: image.path for issue in found for image in issue.images[:MOST]}
        | {image.id: image.path for image in _hubs(found)},
        root=found.root,
        beside=path.absolute().parent,
    )
    write_picture_page(
        path,
        title=f"Audit of {found.images:,} images",
        note="Nothing was changed. An issue is a question: look at the images before you act on it.",
        sections=[
            _summary(found),
            *(_issue(issue, pictures) for issue in found if issue.images),
            *_most_found(found, pictures),
            *_facts(found),
        ],
        none="",
    )


def _summary(found: Audit) -> str:
    rows = [
        [
            f'<a href="#{issue.name}">{_breakable(issue.name)}</a>'
            if issue.images
            else _breakable(issue.name),
            f"{len(issue):,}",
            f"{len(issue) / max(issue.looked_at, 1):.1%}",
            markup(issue.meaning),
        ]
        for issue in found
    ]
    notes = "".join(f"<p>{markup(line)}</p>" for line in facts_in_words(found))
    return f"<section>{_table(('issue', 'images', 'share', ''), rows)}{notes}</section>"


def _issue(issue: Issue, pictures: Pictures) -> str:
    shown = issue.images[:MOST]
    inner = "".join(pictures.figure(one.id, one.path, one.note) for one in shown)
    first = f" The first {len(shown):,} are shown." if len(shown) < len(issue) else ""
    return (
        f'<section id="{issue.name}"><h2>{issue.name} <span>{len(issue):,}</span></h2>'
        f'<p class="note">{markup(issue.meaning)}{first}</p><div class="shots">{inner}</div></section>'
    )


def _hubs(found: Audit) -> tuple[IssueImage, ...]:
    return () if found.hubness is None else found.hubness.most


def _most_found(found: Audit, pictures: Pictures) -> Iterator[str]:
    inner = "".join(pictures.figure(one.id, one.path, one.note) for one in _hubs(found))
    if inner:
        yield (
            "<section><h2>Most often found</h2>"
            '<p class="note">They are among the nearest of the most images, and may crowd out others.</p>'
            f'<div class="shots">{inner}</div></section>'
        )


def _facts(found: Audit) -> Iterator[str]:
    if found.classes is not None:
        some = list(found.classes.counts.items())[:_LABELS]
        yield _section("Labels", ("label", "images"), ([_text(name), f"{count:,}"] for name, count in some))
    if found.splits is not None:
        counts = found.splits.counts.items()
        yield _section("Splits", ("split", "images"), ([_text(name), f"{count:,}"] for name, count in counts))
    if found.skipped:
        yield _section(
            "Skipped files",
            ("file", "reason", ""),
            ([_text(one.path), markup(one.reason), _text(one.detail)] for one in found.skipped[:_SKIPPED]),
        )


def facts_in_words(found: Audit) -> Iterator[str]:
    """Yield what there is to say besides the issues, a line each."""
    if found.skipped:
        named = ", ".join(f"{count:,} {reason}" for reason, count in found.skipped_by_reason.items())
        yield f"{_count(len(found.skipped), 'file')} skipped by the last build: {named}"
    if found.unread:
        named = ", ".join(f"{count:,} {reason}" for reason, count in found.unread.items())
        yield f"{_count(sum(found.unread.values()), 'image')} not read now: {named}"
    if found.duplicates is not None:
        scenes = sum(one.kind == "scene" for one in found.duplicates)
        if scenes:
            yield f"{_count(scenes, 'scene')} photographed several times; that is no issue"
        yield from found.duplicates.missed
    if found.splits is not None:
        named = ", ".join(f"{name} {count:,}" for name, count in found.splits.counts.items())
        yield f"splits by {found.splits.by}: {named}"
    if found.classes is not None:
        one = found.classes
        few = f"; {len(one.few):,} have fewer than ten images" if one.few else ""
        yield (
            f"{len(one.counts):,} labels, balance {one.balance:.2f} (1 is even), largest {one.ratio:.1f} times the smallest{few}; "
            f"{one.without:,} images have no label"
        )
    if found.suspects is not None and found.suspects.unknown:
        named = _count(found.suspects.unknown, "labelled file")
        yield f"{named} not in the collection, first {escape(found.suspects.first_unknown)}: paths are relative to its folder"
    if found.hubness is not None:
        hubs = found.hubness
        high = "; above 1.4 a few images crowd out others" if hubs.skew > 1.4 else ""
        yield (
            f"hubness: skew {hubs.skew:.2f}{high}; the 1 % most often found images take {hubs.top_share:.0%} of all places "
            f"among the {hubs.k} nearest"
        )
    if found.association is not None:
        bias = found.association
        yield (
            f"association: {bias.targets[0]} against {bias.targets[1]}, nearer to {bias.attributes[0]} than to {bias.attributes[1]}: "
            f"effect {bias.effect:.2f} ({bias.interval[0]:.2f} to {bias.interval[1]:.2f}), p {bias.p:.2g}"
        )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _section(title: str, names: tuple[str, ...], rows: Iterable[list[str]]) -> str:
    return f"<section><h2>{title}</h2>{_table(names, rows)}</section>"


def _text(value: str) -> str:
    """Return markup of text that may be long: it breaks wherever the page is narrow."""
    return f"<bdi>{markup(escape(value))}</bdi>"


def _breakable(name: str) -> str:
    """Return markup of an issue's name, which breaks between its words where the page is narrow."""
    return name.replace("_", "_<wbr>")


def _table(names: tuple[str, ...], rows: Iterable[list[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
