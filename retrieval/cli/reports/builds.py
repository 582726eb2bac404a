"""Print what a build did, and the command to try next."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from retrieval.cli.reports.index_facts import index_words, recall_words, views_words
from retrieval.cli.reports.paths import found_from_here, shown
from retrieval.display import duration
from retrieval.render import fields

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_IMAGES = ("encoded", "reused", "moved", "removed")
_OF_ROWS = ("added", "updated", "unchanged", "deleted")


def build_summary(
    report: Mapping[str, Any],
    *,
    other_files: Mapping[str, int] | None = None,
    left_out: Mapping[str, int] | None = None,
) -> str:
    """Summarise a build.

    Args:
        report: the JSON object of the contract.
        other_files: how many files were no images, by suffix.
        left_out: how many system folders were left out, by name.
    """
    by_hand = "added" in report
    counted = _OF_ROWS if by_hand else _OF_IMAGES
    changes = [f"{report[key]:,} {key}" for key in counted if report[key]]
    pairs = [
        ("rows" if by_hand else "images", f"{report['images']:,} in {_places(report)}"),
        *([("built", ", ".join(map(shown, report["sources"])))] if report.get("left_alone") else []),
        ("changes", ", ".join(changes) or "none"),
    ]
    if report["skipped"]:
        from retrieval.sources import NOT_FOLLOWED

        reasons = ", ".join(f"{count:,} {reason}" for reason, count in report["skipped_by_reason"].items())
        pairs += [
            ("skipped", f"{report['skipped']:,}: {reasons}"),
            ("", f"each with its reason in {shown(os.path.join(report['index'], 'skipped.tsv'))}"),
        ]
        if NOT_FOLLOWED in report["skipped_by_reason"]:
            pairs.append(("", "--follow-links enters linked folders"))
    if other_files:
        named = {f".{suffix}" if suffix else "without suffix": count for suffix, count in other_files.items()}
        pairs.append(("no images", _counted(named)))
        pairs += [("", line) for line in _may_be_taken(other_files)]
    if left_out:
        pairs.append(("left out", f"{_counted(left_out)}; --include takes them in"))
    if report.get("incomplete"):
        pairs.append(
            ("not seen", f"{report['not_seen']:,}: their source was not listed to its end; they stay")
        )
        pairs += [("", reason) for reason in report["incomplete"]]
    elif report.get("not_seen"):
        pairs.append(
            ("not seen", f"{report['not_seen']:,}: they lie where nothing could be listed; they stay")
        )
    pairs += [("note", note) for note in report.get("notes", ())]
    if report.get("views"):
        views = report["views"]
        changed = f"; {views['encoded']:,} encoded" if views["encoded"] else ""
        failed = f"; {views['failed']:,} images could not be read for theirs" if views["failed"] else ""
        pairs.append(("views", f"{views_words(views, stored_dim=report['stored_dim'])}{changed}{failed}"))
    seconds = report["seconds"]
    unit = "rows" if by_hand else "images"
    rate = f", {report['images_per_second']:,.0f} {unit}/s" if report["encoded"] else ""
    pairs += [
        ("time", f"{f'{seconds:.1f} s' if seconds < 60 else duration(seconds)}{rate}"),
        ("index", index_words(report)),
        ("recall@10", recall_words(report)),
    ]
    return fields(pairs)


def _places(report: Mapping[str, Any]) -> str:
    """Name the folder, or each source if there are others; the collection where it has more than were built."""
    sources = report.get("sources") or [report["root"]]
    if report.get("left_alone"):
        return shown(report["index"])
    return ", ".join(map(shown, sources))


def _may_be_taken(other_files: Mapping[str, int]) -> list[str]:
    """Name the options that take in films and documents, if there are any."""
    from retrieval.sources.media import DOCUMENT_SUFFIXES, FILM_SUFFIXES

    films = sum(other_files.get(suffix, 0) for suffix in FILM_SUFFIXES)
    documents = sum(other_files.get(suffix, 0) for suffix in DOCUMENT_SUFFIXES)
    lines = []
    if films:
        lines.append(f"--every SECONDS takes in films ({films:,}), --every scenes one picture a scene")
    if documents:
        lines.append(f"--pages takes in PDF documents ({documents:,})")
    return lines


def _counted(counts: Mapping[str, int], *, most: int = 5) -> str:
    """Sum up what was counted, and name the most frequent."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{count:,} {name}" for name, count in ordered[:most]]
    rest = sum(count for _, count in ordered[most:])
    if rest:
        named.append(f"{rest:,} others")
    return f"{sum(counts.values()):,}: {', '.join(named)}"


def next_step(report: Mapping[str, Any], *, words: bool) -> str:
    """Name the command to try after a build.

    Args:
        report: the JSON object of the contract.
        words: the collection can be asked with words; otherwise with a row that it has.
    """
    import shlex

    home = report["root"] if os.path.dirname(report["index"]) == report["root"] else report["index"]
    where = "" if found_from_here(report["root"], report["index"]) else f" --index {shlex.quote(shown(home))}"
    query = '"a red bus in snow"' if words else f"--id {_first_row(report['index'])}"
    return f"try: retrieve query {query}{where}"


def _first_row(directory: str) -> int:
    """Return the first row that has no tombstone, 0 where all have."""
    from retrieval.collection import open_collection

    with open_collection(directory) as collection:
        return int(next(iter(collection.row_ids()), 0))
