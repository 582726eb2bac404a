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

Long because every public name stands here three times: for readers, for type checkers, and with its home.
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

if TYPE_CHECKING:
    from indexes.join import Pairs
    from indexes.vectors import Neighbors, Space
    from retrieval import errors as errors
    from retrieval import testing as testing
    from retrieval.activation import Activated, activate
    from retrieval.collection import Collection
    from retrieval.collection import open_collection as open  # noqa: A004  retrieval.open reads well; nobody imports * here
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

# Where each name lives; loaded on first use, so that `import retrieval` and `retrieve --help` stay light.
_HOMES = {
    "Activated": "retrieval.activation.activation:Activated",
    "BackfillReport": "retrieval.upgrades.backfilling.backfill_run:BackfillReport",
    "RollbackReport": "retrieval.upgrades.rolling_back.rollback_run:RollbackReport",
    "UpgradeReport": "retrieval.upgrades.record:UpgradeReport",
    "backfill": "retrieval.upgrades.backfilling.backfill_run:backfill",
    "drop_old": "retrieval.upgrades.finish:drop_old",
    "finish_upgrade": "retrieval.upgrades.finish:finish_upgrade",
    "rollback": "retrieval.upgrades.rolling_back.rollback_run:rollback",
    "upgrade": "retrieval.upgrades.start.upgrade_start:upgrade",
    "upgrade_report": "retrieval.upgrades.history:upgrade_report",
    "BuildReport": "retrieval.collection.rows.build_report:BuildReport",
    "Collection": "retrieval.collection.collection:Collection",
    "DifferentiableEncoder": "retrieval.encoders:DifferentiableEncoder",
    "Encoder": "retrieval.encoders:Encoder",
    "Evaluation": "retrieval.evaluation.evaluation:Evaluation",
    "Hit": "retrieval.collection.answers.hit:Hit",
    "Hits": "retrieval.collection.answers.hits:Hits",
    "Neighbors": "indexes.vectors.neighbors:Neighbors",
    "Pairs": "indexes.join.pairs:Pairs",
    "Progress": "retrieval.progress:Progress",
    "RetrievalError": "retrieval.errors:RetrievalError",
    "Space": "indexes.vectors.space:Space",
    "Query": "retrieval.collection.queries.terms:Query",
    "QueryLike": "retrieval.collection.queries.inputs:QueryLike",
    "TextEncoder": "retrieval.encoders:TextEncoder",
    "activate": "retrieval.activation.activation:activate",
    "build_index": "retrieval.ingestion.build:build_index",
    "RowWriter": "retrieval.collection.rows.by_hand.row_writer:RowWriter",
    "RowsReport": "retrieval.collection.rows.by_hand.rows_report:RowsReport",
    "build_index_from_vectors": "retrieval.collection.rows.by_hand.vector_sync:build_index_from_vectors",
    "create": "retrieval.collection.rows.by_hand.creation:create",
    "sync_vectors": "retrieval.collection.rows.by_hand.vector_sync:sync_vectors",
    "DuplicateImage": "retrieval.curation.duplicates.sets.image_sets:DuplicateImage",
    "DuplicateSet": "retrieval.curation.duplicates.sets.image_sets:DuplicateSet",
    "Duplicates": "retrieval.curation.duplicates.sets.report:Duplicates",
    "ComparedGroup": "retrieval.curation.compare.comparison:ComparedGroup",
    "ComparedImage": "retrieval.curation.compare.comparison:ComparedImage",
    "ComparedQuality": "retrieval.curation.compare.comparison:ComparedQuality",
    "ComparedWord": "retrieval.curation.compare.comparison:ComparedWord",
    "ComparedWords": "retrieval.curation.compare.comparison:ComparedWords",
    "Comparison": "retrieval.curation.compare.comparison:Comparison",
    "compare": "retrieval.curation.compare.comparing:compare",
    "Group": "retrieval.curation.groups.group_report:Group",
    "Groups": "retrieval.curation.groups.group_report:Groups",
    "cluster": "retrieval.curation.groups.clustering:cluster",
    "ImageMap": "retrieval.curation.map.image_map:ImageMap",
    "MapPage": "retrieval.curation.map.map_page:MapPage",
    "map_images": "retrieval.curation.map.collection_map:map_images",
    "Picked": "retrieval.curation.picks.picked:Picked",
    "PickedImage": "retrieval.curation.picks.picked_image:PickedImage",
    "outliers": "retrieval.curation.picks.odd_images:outliers",
    "representatives": "retrieval.curation.picks.representative_images:representatives",
    "MoveReport": "retrieval.curation.duplicates.moving.moves:MoveReport",
    "duplicates": "retrieval.curation.duplicates.finding:duplicates",
    "undo_moves": "retrieval.curation.duplicates.moving.moves:undo_moves",
    "Association": "retrieval.curation.audit.association_bias:Association",
    "Audit": "retrieval.curation.audit.audit_report:Audit",
    "Issue": "retrieval.curation.audit.issues:Issue",
    "IssueImage": "retrieval.curation.audit.issues:IssueImage",
    "audit": "retrieval.curation.audit.auditing:audit",
    "Classification": "retrieval.curation.labels.guesses:Classification",
    "Guess": "retrieval.curation.labels.guesses:Guess",
    "Suspect": "retrieval.curation.labels.guesses:Suspect",
    "Suspects": "retrieval.curation.labels.guesses:Suspects",
    "Voter": "retrieval.curation.labels.guesses:Voter",
    "classify": "retrieval.curation.labels.classification:classify",
    "query_by_examples": "retrieval.curation.labels.example_query:query_by_examples",
    "suspects": "retrieval.curation.labels.classification:suspects",
    "MatchCalibration": "retrieval.evaluation.match_calibration:MatchCalibration",
    "calibrate_matches": "retrieval.evaluation.match_calibration:calibrate_matches",
    "evaluate": "retrieval.evaluation.evaluation:evaluate",
    "fingerprint": "retrieval.encoders:fingerprint",
    "image": "retrieval.collection.queries.terms:image",
    "load_encoder": "retrieval.encoders:load_encoder",
    "row": "retrieval.collection.queries.terms:row",
    "text": "retrieval.collection.queries.terms:text",
    "vector": "retrieval.collection.queries.terms:vector",
    "open": "retrieval.collection.collection:open_collection",
}


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
        if name not in _HOMES:
            from retrieval.hints import missing_attribute

            raise missing_attribute("retrieval", name, __all__)
        from indexes.distribution import refuse_old_distribution

        refuse_old_distribution()
        module, _, attribute = _HOMES[name].partition(":")
        return getattr(importlib.import_module(module), attribute)


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
