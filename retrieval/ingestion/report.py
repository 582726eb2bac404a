"""Sum up what a build did to all of its sources."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from indexes.generation import HAND
from retrieval.collection.rows import BuildReport
from retrieval.location import resolve_root
from retrieval.sources import STANDARD_INPUT, count_reasons

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from indexes.generation import Manifest
    from retrieval.ingestion.build_sources import BuildSources
    from retrieval.ingestion.intake import Intake
    from retrieval.views import ViewsReport


def report_of(
    manifest: Manifest,
    directory: Path,
    sources: BuildSources,
    intakes: Sequence[Intake],
    dropped: int,
    views: ViewsReport | None,
    *,
    seconds: float,
) -> BuildReport:
    """Put together the report of a build.

    Args:
        manifest: as it was published.
        directory: the collection's.
        sources: of the build.
        intakes: through which the images of each went.
        dropped: rows of dropped sources.
        views: what was done to the views of images.
        seconds: that it took.
    """
    changes = [intake.changes for intake in intakes]
    others: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for one in changes:
        others += one.others
        left_out += one.left_out
    notes = [note for one in changes for note in one.notes]
    notes += [
        "standard input is not read again by a build that names no source; its rows stay"
        for text in sources.passed_over
        if text == STANDARD_INPUT
    ]
    return BuildReport.of(
        manifest,
        root=sources.root or directory.parent,
        directory=directory,
        seconds=seconds,
        encoded=sum(intake.encoded for intake in intakes),
        reused=sum(intake.reused for intake in intakes),
        moved=sum(intake.moved for intake in intakes),
        removed=sum(len(intake.gone()) for intake in intakes) + dropped,
        skipped_by_reason=count_reasons([file for intake in intakes for file in intake.skipped]),
        other_files=dict(others.most_common()),
        left_out=dict(left_out.most_common()),
        sources=[source.name for source in sources.chosen],
        left_alone=sum(source.type != HAND for source in sources.recorded) - len(sources.chosen),
        not_seen=sum(one.not_seen for one in changes),
        incomplete=[_text(one.incomplete) for one in changes if one.incomplete],
        notes=[_text(note) for note in notes],
        views=None if views is None else views.to_json(),
    )


def _text(line: str) -> str:
    """Return a line with bytes of names that are no UTF-8 escaped, as JSON takes it."""
    return line.encode("utf-8", "backslashreplace").decode()


def report_of_rows(manifest: Manifest, directory: Path, *, seconds: float) -> BuildReport:
    """Put together the report of a build that had no source to list: it has indexed the rows that were there."""
    return BuildReport.of(
        manifest,
        root=resolve_root(directory, manifest.root),
        directory=directory,
        seconds=seconds,
        encoded=0,
        reused=manifest.live,
        moved=0,
        removed=0,
        skipped_by_reason={},
        **({} if manifest.encoder else {"reads_words": False}),
        notes=["no source can be listed: the rows that were made by hand were indexed again where need be"],
    )
