"""Say which labels were guessed, and which are doubtful."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from retrieval.cli.reports import unknown_notes
from retrieval.cli.reports.curation.listings import listing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrieval.curation.labels import Classification, Suspects


def label_lines(found: Classification | Suspects, *, columns: int) -> str:
    """Lay out a line for each image, with the probability of its label first.

    Guesses have the label, ``-`` where there is none; suspects have their label and the likelier one. Then comes the path.

    Args:
        found: guessed or doubted labels.
        columns: width of the terminal; 0 where there is none, and tabs stand between the fields.
    """
    from retrieval.curation.labels import Suspects

    if isinstance(found, Suspects):
        doubted = [(f"{one.probability:.2f}", one.label, one.likely, one.path) for one in found]
        return listing(("probability", "label", "likelier", "path"), doubted, columns=columns)
    guessed = [(f"{one.probability:.2f}", one.label or "-", one.path) for one in found]
    return listing(("probability", "label", "path"), guessed, columns=columns)


def label_notes(found: Classification | Suspects) -> Iterator[str]:
    """Yield what there is to say besides the images."""
    from retrieval.curation.labels import Suspects

    if isinstance(found, Suspects):
        yield f"{len(found):,} of {found.judged:,} labels are doubtful"
        if found.alone:
            yield f"{found.alone:,} labels could not be judged: no other image has them"
    else:
        reasons = Counter(one.reason for one in found if one.reason)
        without = "".join(f"; {count:,} got none: {reason}" for reason, count in sorted(reasons.items()))
        yield f"{found.guessed:,} of {len(found):,} images got a label{without}"
    yield from unknown_notes(found.unknown, found.first_unknown)
    choice = found.choice
    if choice.accuracy is None:
        yield "each label has one image, so how well this guesses could not be measured"
    else:
        yield f"of {choice.tried:,} labelled images, each left out once, {choice.accuracy:.0%} were guessed right"
