"""Write the golden collections of the present format into ``tests/golden``; run once for every new format.

    python -m tools.make_golden
    python -m tools.make_golden --probes nano@2

A golden collection is never written again: what was released must open for ever. ``--probes`` records instead what a version of nano gives, which may
change until it is released.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import retrieval
from indexes.derivation import derive, publish_rows
from indexes.generation import HAND, read_manifest, source_of_type
from indexes.generation.description import FORMAT
from indexes.store import NewRow, VectorStore, WriterLock
from indexes.vectors.arrays import unit_rows
from retrieval.collection.rows import derived_files
from retrieval.encoders import load_encoder, vectors_of_probes
from retrieval.testing import FakeEncoder

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
ROWS, DIM, SEED = 1200, 32, 7
PICTURES = 20


def make(home: Path) -> None:
    """Build a collection of two sources: a folder, whose rows have columns and views, and rows by hand; an index, recent rows, tombstones."""
    encoder = FakeEncoder(name="golden", dim=DIM)
    home.mkdir()
    for number in range(PICTURES):
        _picture(number).save(home / f"{number:02}.png")
    retrieval.build_index(home, encoder=encoder, views=5)
    (home / "03.png").unlink()
    retrieval.build_index(home, encoder=encoder)
    directory = home / ".retrieve"
    add_by_hand(directory, range(ROWS - 50), kind="IVF16,SQ8")
    add_by_hand(directory, range(ROWS - 50, ROWS), gone=[f"by hand/{number}" for number in range(30)])


def add_by_hand(
    directory: Path,
    numbers: Sequence[int],
    *,
    gone: Sequence[str] = (),
    prefix: str = "by hand",
    **options: Any,
) -> None:
    """Add rows of seeded vectors by hand, and delete others by their keys."""
    manifest = read_manifest(directory)
    hand = source_of_type(manifest.sources, HAND)
    sources = manifest.sources if hand in manifest.sources else (*manifest.sources, hand)
    vectors = np.random.default_rng(SEED).standard_normal((ROWS, DIM)).astype(np.float32)
    records = [NewRow(key=f"{prefix}/{number}".encode(), source=hand.number) for number in numbers]
    with (
        WriterLock(directory) as lock,
        VectorStore.open(directory, dim=DIM, writable=True, lock=lock) as store,
    ):
        store.append(unit_rows(vectors[list(numbers)]), records)
        store.remove([number for key in gone if (number := store.find(key.encode())) is not None])
        store.commit()
        space, encoder = manifest.space, manifest.encoder
        if options or publish_rows(directory, store, sources=sources) is None:
            files = derived_files()
            derive(directory, store, space=space, encoder=encoder, sources=sources, derived=files, **options)


def make_format_3(home: Path) -> None:
    """Build a collection in the middle of a change of its encoder: old rows, new rows, added and removed ones."""
    old, new = FakeEncoder(name="golden-old", dim=DIM), FakeEncoder(name="golden-new", dim=DIM + 16)
    home.mkdir()
    for number in range(90):
        _picture(number).save(home / f"{number:02}.png")
    retrieval.build_index(home, encoder=old)
    retrieval.upgrade(home, encoder=new, old_encoder=old, sample=80, method="ridge", force=True)
    retrieval.backfill(home, count=40, encoder=new)
    for number in (3, 50):
        (home / f"{number:02}.png").unlink()
    for number in range(100, 104):
        _picture(number).save(home / f"{number}.png")
    retrieval.build_index(home, encoder=new)


def _picture(number: int) -> Image.Image:
    coarse = np.random.default_rng([SEED, number]).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC)


def make_format_1(home: Path) -> None:
    """Build one collection with everything format 1 has: an index, a tail behind it, tombstones, skipped ids."""
    rng = np.random.default_rng(SEED)
    vectors = rng.standard_normal((ROWS, DIM)).astype(np.float32)
    keys = [f"folder {number % 7}/{number}.jpg" for number in range(ROWS)]
    retrieval.sync_vectors(home, vectors[:1150], keys[:1150], space="golden", kind="IVF16,SQ8")
    # 30 rows go, 50 come: a tail and tombstones, but too few for a merge.
    retrieval.sync_vectors(home, vectors[30:], keys[30:], prune=True)


def describe(home: Path) -> dict[str, object]:
    """Return what the collection answers; every later version must answer the same."""
    with retrieval.open(home) as collection:
        draws = np.random.default_rng(SEED + 1)
        queries = draws.standard_normal((20, collection.space.dim)).astype(np.float32)
        exact = collection.search_vectors(queries, k=5, exact=True)
        answers: dict[str, object] = {
            "images": len(collection),
            "count": collection.manifest.count,
            "base_rows": collection.manifest.index.base_rows,
            "first_key": collection.key_of(int(exact.ids[0, 0])),
            "ids": exact.ids.tolist(),
            "scores": np.round(exact.scores.astype(float), 5).tolist(),
        }
        if collection.manifest.columns is not None:
            answers["columns"] = collection.columns([0, 1, 19, 20])
        if collection.manifest.views:
            pictures = (collection.search(retrieval.vector(query), k=5, glob="*.png") for query in queries)
            answers["regions"] = [[[hit.id, hit.region] for hit in hits] for hits in pictures]
        return answers


def record_probes(model: str) -> None:
    """Write what the probes get by a version of nano."""
    encoder, path = load_encoder(model, device="cpu"), GOLDEN / "nano.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    known[model] = {"space": encoder.space.to_json(), "probes": vectors_of_probes(encoder)}
    path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Write the golden collection of this format, unless there is one; or what a version of nano gives."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--probes", metavar="MODEL", help="a version of nano that is not released")
    given = parser.parse_args()
    if given.probes:
        record_probes(given.probes)
        return
    target = GOLDEN / f"format-{FORMAT}"
    if target.exists():
        raise SystemExit(f"{target} exists; a golden collection is never written again")
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary) / "collection"
        make(home)
        answers = describe(home)
        target.mkdir(parents=True)
        shutil.copytree(
            home / ".retrieve", target / "collection", ignore=shutil.ignore_patterns("lock.mdb", "lock")
        )
    (target / "answers.json").write_text(json.dumps(answers) + "\n")


if __name__ == "__main__":
    main()
