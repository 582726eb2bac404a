"""Audit a collection: run each check that is asked for, and gather what was found."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.collection import open_collection, require_settled
from retrieval.collection.queries import passing_rows
from retrieval.curation.audit.association_bias import association
from retrieval.curation.audit.audit_report import Audit, SkippedImage
from retrieval.curation.audit.class_balance import class_balance
from retrieval.curation.audit.hubness import hubness
from retrieval.curation.audit.image_reading import read_images
from retrieval.curation.audit.issues import MEANINGS, Issue, IssueImage, pixel_issues
from retrieval.curation.audit.set_issues import duplicate_issues, label_conflicts, leaks, splits_of
from retrieval.curation.duplicates import duplicates
from retrieval.curation.labels import suspects
from retrieval.curation.picks import outliers
from retrieval.display import progress_shown
from retrieval.errors import OptionError
from retrieval.evaluation import known_labels
from retrieval.hints import named_arguments
from retrieval.sources import read_skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.collection import Collection
    from retrieval.curation.audit.association_bias import AssociationSet
    from retrieval.curation.audit.hubness import Hubness
    from retrieval.curation.labels import Suspects
    from retrieval.curation.picks import Picked
    from retrieval.evaluation import LabelsLike
    from retrieval.progress import ShowProgress

CHECKS: Final = ("duplicates", "pixels", "outliers", "hubness")
"""What is looked at without being asked for by labels or sets of words."""

_OUTLIERS: Final = 1_000
_NEVER: Final = 1_000
"""Images that are listed of each."""


@named_arguments
def audit(
    collection: Collection | str | os.PathLike[str],
    *,
    labels: LabelsLike | None = None,
    column: str | None = None,
    splits: str | None = None,
    targets: Sequence[AssociationSet] | None = None,
    attributes: Sequence[AssociationSet] | None = None,
    checks: Sequence[str] = CHECKS,
    under: str | os.PathLike[str] | None = None,
    glob: str | None = None,
    where: Any = None,
    progress: ShowProgress = None,
) -> Audit:
    """Say what state a collection is in. Nothing is encoded again, and nothing is changed.

    Pixels are read from the images, once: what was read is kept in the folder ``pixels`` of the collection's directory.

    Args:
        collection: a collection, or its path.
        labels: a CSV file with the header ``file,label``, or labels by key: doubtful labels are listed, and how even they are.
        column: the column of the collection that has the labels; give this or `labels`.
        splits: a column, such as a split's name: pictures with several values of it are listed. Without it folders such as
            ``train`` and ``test`` at the top are taken.
        targets, attributes: two sets each, to measure association bias: words with commas between them, folders of the collection
            as `Path`, or lists of queries.
        checks: what to look at, of ``duplicates``, ``pixels``, ``outliers`` and ``hubness``.
        under, glob, where: only images that pass these filters of `Collection.search`.
        progress: True for a bar where somebody sees one, or a function.
    Returns:
        what was found. `Audit` says more.
    Raises:
        OptionError: a value that cannot be, labels or splits that are not there, or the encoder is being changed.
        CapabilityMissing: `targets` or `attributes` are words, and the encoder knows none.
        CollectionNotFound: there is none.
    """
    wanted = _checked(checks)
    if (targets is None) != (attributes is None):
        raise OptionError("give `targets` and `attributes` together, two sets each")
    filters: dict[str, Any] = {"under": under, "glob": glob, "where": where}
    with ExitStack() as stack:
        opened = collection
        if isinstance(opened, str | os.PathLike):
            opened = stack.enter_context(open_collection(opened))
        require_settled(opened.manifest, what="the vectors are of two spaces, so images cannot be compared")
        show = stack.enter_context(progress_shown(progress))
        mask = passing_rows(opened, **filters)
        bias = None if targets is None or attributes is None else association(opened, targets, attributes)
        parts = splits_of(opened, splits) if "duplicates" in wanted else None
        known = None if labels is None and column is None else known_labels(opened, labels, column=column)
        issues: list[Issue] = []
        sets = duplicates(opened, progress=show, **filters) if "duplicates" in wanted else None
        if sets is not None:
            issues += duplicate_issues(sets)
            if parts is not None:
                issues.append(leaks(sets, parts))
        doubted, classes = None, None
        if known is not None:
            doubted = suspects(opened, labels, column=column, progress=show, **filters)
            issues.append(_doubtful(doubted))
            inside = np.isin(known.ids, opened.row_ids(mask))
            counts = np.bincount(known.codes[inside], minlength=len(known.names)).tolist()
            if inside.any():
                classes = class_balance(
                    {name: count for name, count in zip(known.names, counts, strict=True) if count},
                    without=int(mask.sum() - inside.sum()),
                )
            if sets is not None:
                names = {
                    number: known.names[code]
                    for number, code in zip(known.ids.tolist(), known.codes.tolist(), strict=True)
                }
                issues.append(label_conflicts(sets, names))
        unread: dict[str, int] = {}
        if "pixels" in wanted:
            read = read_images(opened, mask, progress=show)
            issues += pixel_issues(read.facts, opened.key_of)
            unread = dict(read.unread.most_common())
        if "outliers" in wanted:
            issues.append(_outliers(outliers(opened, _OUTLIERS, progress=show, **filters)))
        hubs = hubness(opened, mask, progress=show) if "hubness" in wanted else None
        if hubs is not None:
            issues.append(_rarely_found(opened, hubs))
        order = list(MEANINGS)
        issues.sort(key=lambda issue: order.index(issue.name))
        return Audit(
            images=int(mask.sum()),
            issues=tuple(issues),
            skipped=tuple(
                SkippedImage(path=os.fsdecode(one.key), reason=one.reason, detail=one.detail)
                for one in read_skipped(opened.directory).values()
            ),
            unread=unread,
            splits=parts,
            classes=classes,
            hubness=hubs,
            association=bias,
            duplicates=sets,
            suspects=doubted,
            _root=os.fspath(opened.root),
            _directory=os.fspath(opened.directory),
        )


def _checked(checks: Sequence[str]) -> tuple[str, ...]:
    named = tuple(checks.split(",")) if isinstance(checks, str) else tuple(checks)
    unknown = [name for name in named if name not in CHECKS]
    if unknown:
        raise OptionError(f"`checks` is {','.join(map(str, named))!r}; give some of {', '.join(CHECKS)}")
    return named


def _doubtful(found: Suspects) -> Issue:
    return Issue(
        name="doubtful_labels",
        looked_at=found.judged,
        images=tuple(
            IssueImage(
                path=one.path, id=one.id, value=one.probability, note=f"{one.label}, likelier {one.likely}"
            )
            for one in found
        ),
    )


def _outliers(found: Picked) -> Issue:
    """Take those that lie below the fence."""
    far = [image for image in found if found.fence is not None and image.score < found.fence]
    return Issue(
        name="outliers",
        looked_at=found.total,
        images=tuple(
            IssueImage(path=one.path, id=one.id, value=one.score, note=f"likeness {one.score:.2f}")
            for one in far
        ),
    )


def _rarely_found(collection: Collection, hubs: Hubness) -> Issue:
    never = hubs.ids[hubs.counts == 0][:_NEVER]
    return Issue(
        name="rarely_found",
        looked_at=hubs.rows,
        images=tuple(
            IssueImage(path=collection.key_of(number), id=number, value=0.0, note="never among the nearest")
            for number in never.tolist()
        ),
    )
