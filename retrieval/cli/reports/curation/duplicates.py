"""Say which images are there twice, and what was moved."""

from __future__ import annotations

import shlex
import textwrap
from itertools import islice
from typing import TYPE_CHECKING

from retrieval.display import cells, escape, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrieval.curation.duplicates import Duplicates, MoveReport

_NAMED = 3
SETS_ON_TERMINAL, IMAGES_ON_TERMINAL = 20, 10
"""How many sets, and how many images of each, a terminal shows; files and pipes get all."""

_WORDS = {"bytes": "same bytes", "pixels": "same pixels", "picture": "same picture", "scene": "same scene"}


def duplicate_sets(found: Duplicates, *, columns: int) -> str:
    """Lay out the sets: a heading, then a line for each image with ``keep`` or ``go``.

    Args:
        found: the sets.
        columns: width of the terminal, which shows the first sets only; 0 where there is none.
    """
    lines: list[str] = []
    sets, images = (SETS_ON_TERMINAL, IMAGES_ON_TERMINAL) if columns else (None, None)
    for number, one in enumerate(islice(found, sets), start=1):
        lines.append(f"{number}. {_WORDS[one.kind]}, {len(one):,} images")
        for image in islice(one, images):
            mark = "keep" if image.keep else "go"
            size = f"{image.width} × {image.height}" if image.width else ""
            front = f"   {mark:<5}{size:<13}"
            room = max(columns - cells(front), 8) if columns else 0
            path = escape(image.path)
            lines.append(f"{front}{shorten(path, room) if room else path}".rstrip())
            if image.keep or image.kind in {"picture", "scene"}:
                reason = escape(image.reason)
                # A reason is wrapped and not cut: it names the other file.
                parts = textwrap.wrap(reason, room) if room else [reason]
                lines += [f"{'':>8}{'':<13}{part}" for part in parts]
        if images is not None and len(one) > images:
            lines.append(f"   and {len(one) - images:,} more")
    if sets is not None and len(found) > sets:
        lines.append(
            f"and {len(found) - sets:,} more sets: --html FILE shows all side by side, --csv prints all"
        )
    return "".join(f"{line}\n" for line in lines)


def duplicate_notes(found: Duplicates, *, moving: bool) -> Iterator[str]:
    """Yield what there is to say besides the sets."""
    going = found.going
    size = sum(image.size_bytes for image in going)
    counts = {kind: sum(one.kind == kind for one in found) for kind in found.kinds}
    told = ", ".join(f"{count:,} of the {_WORDS[kind]}" for kind, count in counts.items() if count)
    if found.sets:
        sets = "set" if len(found) == 1 else "sets"
        yield f"{len(found):,} {sets}: {told}; {len(going):,} of {found.images:,} images could go ({size / 1e6:,.1f} MB)"
        doubtful = sum(
            image.keep
            and image.kind == "picture"
            and not image.reason.startswith("in ")  # a folder that never goes
            for one in found
            for image in one.images[1:]
        )
        if doubtful:
            yield (
                f"{doubtful:,} more {'shows' if doubtful == 1 else 'show'} the same picture and {'stays' if doubtful == 1 else 'stay'} "
                "until you decide: more is shown, a part differs, it is a page of text, or it is not sure"
            )
    else:
        yield f"no duplicates among {found.images:,} image{'' if found.images == 1 else 's'}"
    if found.compared and found.expected_recall is not None and "picture" in found.kinds:
        yield f"at this precision, {found.expected_recall:.0%} of altered copies were found among photographs whose copies are known"
    yield from found.missed
    if found.unread:
        named = ", ".join(escape(path) for path in found.unread_named)
        more = (
            f" and {found.unread - len(found.unread_named):,} more"
            if found.unread > len(found.unread_named)
            else ""
        )
        yield f"{found.unread:,} images could not be read, so only their bytes counted: {named}{more}"
    if found.cut:
        yield (
            f"each image was compared with the {found.at_most} likest of its near ones, not with all: {found.cut:,} likely pairs beyond "
            "these were not looked at; run the command again after a clean-up to look at more"
        )
    if going and not moving:
        yield "nothing was changed; --html FILE makes a page to review, --move-to DIR moves what could go"


def moved(report: MoveReport, *, back: bool) -> Iterator[str]:
    """Yield what was moved, what was left, and how to undo it."""
    yield f"{len(report.moved):,} files {'moved back' if back else 'moved'}"
    for path, reason in report.left[:_NAMED]:
        yield f"left: {escape(path)}: {escape(reason)}"
    if len(report.left) > _NAMED:
        yield f"left: {len(report.left) - _NAMED:,} more (--json lists all)"
    if report.moved and not back:
        yield f"undo: retrieve duplicates --undo {shlex.quote(escape(report.undo))}"
