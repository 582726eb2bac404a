"""Find images by words and by example, in collections of any size.

import retrieval

retrieval.build_index("photos/")
with retrieval.open("photos/") as photos:
    for hit in photos.search("a red bus in snow", k=5):
        print(f"{hit.score:.3f}", hit.path)

The public names, by what you want to do:

make a collection       build_index, create, sync_vectors; BuildReport, RowsReport
search it               open, Collection, Hits, Hit, Neighbors, Pairs
write queries           image, text, row, vector, Query, QueryLike
write single rows       Collection.add, upsert, delete, add_images; RowWriter
use encoders            load_encoder, fingerprint, Encoder, TextEncoder, DifferentiableEncoder, Space
change the encoder      upgrade, backfill, finish_upgrade, rollback, upgrade_report; UpgradeReport, BackfillReport, RollbackReport
measure                 evaluate, calibrate_matches; Evaluation, MatchCalibration
find duplicates         duplicates, undo_moves; Duplicates, DuplicateSet, DuplicateImage, MoveReport
find groups             cluster; Groups, Group
make a map              map_images; ImageMap, MapPage
compare encoders        compare; Comparison, ComparedGroup, ComparedImage, ComparedQuality, ComparedWord, ComparedWords
pick images             representatives, outliers; Picked, PickedImage
audit a collection      audit; Audit, Issue, IssueImage, Association
guess labels            classify, suspects, query_by_examples; Classification, Guess, Suspects, Suspect, Voter
publish images          activate, Activated
follow long calls       Progress
handle errors           RetrievalError; its kinds are in retrieval.errors
test plug-ins           retrieval.testing

Long because every public name stands here for readers, for type checkers with its home, and in `__all__`.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the module signal imports enum first
import os
import sys


def _is_command() -> bool:
    """Say whether this process is the command ``retrieve`` itself, rather than a program that imports the library."""
    if os.path.basename(sys.argv[0] if sys.argv else "") == "retrieve":
        return True
    pairs = zip(sys.orig_argv[1:], sys.orig_argv[2:], strict=False)
    return any(
        (option == "-m" and word in {"retrieval", "retrieval.cli"})
        or (option == "-c" and "retrieval.cli import main" in word)
        for option, word in pairs
    )


def _leave_at_once(*_: object) -> None:
    os._exit(130)


if _is_command() and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    # Before anything else is imported: until its work begins, an interrupt ends the command without a word.
    _signal.signal(_signal.SIGINT, _leave_at_once)

import importlib
from typing import TYPE_CHECKING, Any

import indexes
from indexes.exports import homes_of

if TYPE_CHECKING:
    from indexes.join import Pairs
    from indexes.vectors import Neighbors, Space
    from retrieval import errors as errors, testing as testing
    from retrieval.activation import Activated, activate
    from retrieval.collection import (
        Collection,
        open_collection as open,  # noqa: A004  retrieval.open reads well; nobody imports * here
    )
    from retrieval.collection.answers import Hit, Hits
    from retrieval.collection.queries import Query, QueryLike, image, row, text, vector
    from retrieval.collection.rows import (
        BuildReport,
        RowsReport,
        RowWriter,
        create,
        sync_vectors,
    )
    from retrieval.curation.audit import Association, Audit, Issue, IssueImage, audit
    from retrieval.curation.compare import (
        ComparedGroup,
        ComparedImage,
        ComparedQuality,
        ComparedWord,
        ComparedWords,
        Comparison,
        compare,
    )
    from retrieval.curation.duplicates import (
        DuplicateImage,
        Duplicates,
        DuplicateSet,
        MoveReport,
        duplicates,
        undo_moves,
    )
    from retrieval.curation.groups import Group, Groups, cluster
    from retrieval.curation.labels import (
        Classification,
        Guess,
        Suspect,
        Suspects,
        Voter,
        classify,
        query_by_examples,
        suspects,
    )
    from retrieval.curation.map import ImageMap, MapPage, map_images
    from retrieval.curation.picks import Picked, PickedImage, outliers, representatives
    from retrieval.encoders import (
        DifferentiableEncoder,
        Encoder,
        TextEncoder,
        fingerprint,
        load_encoder,
    )
    from retrieval.errors import RetrievalError
    from retrieval.evaluation import Evaluation, MatchCalibration, calibrate_matches, evaluate
    from retrieval.ingestion import build_index
    from retrieval.progress import Progress
    from retrieval.upgrades import (
        BackfillReport,
        RollbackReport,
        UpgradeReport,
        backfill,
        finish_upgrade,
        rollback,
        upgrade,
        upgrade_report,
    )

    __version__: str

__all__ = [
    "Activated",
    "Association",
    "Audit",
    "BackfillReport",
    "BuildReport",
    "Classification",
    "Collection",
    "ComparedGroup",
    "ComparedImage",
    "ComparedQuality",
    "ComparedWord",
    "ComparedWords",
    "Comparison",
    "DifferentiableEncoder",
    "DuplicateImage",
    "DuplicateSet",
    "Duplicates",
    "Encoder",
    "Evaluation",
    "Group",
    "Groups",
    "Guess",
    "Hit",
    "Hits",
    "ImageMap",
    "Issue",
    "IssueImage",
    "MapPage",
    "MatchCalibration",
    "MoveReport",
    "Neighbors",
    "Pairs",
    "Picked",
    "PickedImage",
    "Progress",
    "Query",
    "QueryLike",
    "RetrievalError",
    "RollbackReport",
    "RowWriter",
    "RowsReport",
    "Space",
    "Suspect",
    "Suspects",
    "TextEncoder",
    "UpgradeReport",
    "Voter",
    "activate",
    "audit",
    "backfill",
    "build_index",
    "calibrate_matches",
    "classify",
    "cluster",
    "compare",
    "create",
    "duplicates",
    "evaluate",
    "fingerprint",
    "finish_upgrade",
    "image",
    "load_encoder",
    "map_images",
    "open",
    "outliers",
    "query_by_examples",
    "representatives",
    "rollback",
    "row",
    "suspects",
    "sync_vectors",
    "text",
    "undo_moves",
    "upgrade",
    "upgrade_report",
    "vector",
]

_MODULES = ("errors", "testing")  # modules that users need whole
_OLD = {"build_index_from_vectors": "retrieval.collection.rows", "drop_old": "retrieval.upgrades"}
_HOMES = homes_of(sys._getframe().f_code)  # noqa: SLF001 - of this module: the imports above, see there


def _refuse_foreign_indexes() -> None:
    """Raise if Python found somebody else's package ``indexes``, or an older copy of ours: PyPI has one of that name."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = [os.path.abspath(folder) for folder in getattr(indexes, "__path__", [])] or [indexes.__file__]
    if hasattr(indexes, "DISTRIBUTION") and found == [os.path.join(home, "indexes")]:
        return
    message = (
        f"Python imports the package 'indexes' from {found[0]}, which is not the one that belongs to {__path__[0]}; "
        "uninstall what brought it (pip uninstall indexes), or take its folder off PYTHONPATH and out of the working "
        "directory"
    )
    if _is_command():
        sys.exit(f"error: {message}")
    raise ImportError(message)


_refuse_foreign_indexes()


if not TYPE_CHECKING:  # a type checker would take every name for one that exists

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return _version()
        if name == "Term":
            from retrieval.collection.queries import Term
            from retrieval.deprecation import warn_renamed

            warn_renamed("retrieval.Term", "retrieval.Query")
            return Term
        if name in _MODULES:
            return importlib.import_module(f"retrieval.{name}")
        if name not in __all__ and name not in _OLD:
            from retrieval.hints import missing_attribute

            raise missing_attribute("retrieval", name, __all__)
        from indexes.distribution import refuse_old_distribution

        refuse_old_distribution()
        return getattr(
            importlib.import_module(_OLD.get(name) or _HOMES[name]),
            "open_collection" if name == "open" else name,
        )


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(indexes.DISTRIBUTION)
    except PackageNotFoundError:
        return "(not installed)"


def __dir__() -> list[str]:
    """Return the public names: what is imported here for the package's own use is none."""
    own = {name for name in globals() if name.startswith("__")} - {"__dir__", "__getattr__"}
    return sorted({*own, *_MODULES, *__all__})
