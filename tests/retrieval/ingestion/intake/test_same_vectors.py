"""The same images in a folder, in tar files, in a table and in a listing give the same vectors and the same hits."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import retrieval
from tests.retrieval.folders import CountingEncoder
from tests.retrieval.ingestion.galleries import NAMES, build


def in_tar(photos: Path, home: Path) -> str:
    for number in range(2):
        with tarfile.open(home / f"{number}.tar", "w") as archive:
            for name in NAMES[6 * number : 6 * number + 6]:
                archive.add(photos / name, name)
    return f"{home}/{{0..1}}.tar"


def in_packed_tar(photos: Path, home: Path) -> str:
    with tarfile.open(home / "x.tar.gz", "w:gz") as archive:
        for name in NAMES:
            archive.add(photos / name, name)
    return f"{home}/x.tar.gz"


def in_table(photos: Path, home: Path) -> str:
    pa = pytest.importorskip("pyarrow", reason="tables are read with it")
    parquet = pytest.importorskip("pyarrow.parquet", reason="tables are read with it")
    images = [{"bytes": (photos / name).read_bytes(), "path": name} for name in NAMES]
    parquet.write_table(pa.table({"image": images}), home / "x.parquet", row_group_size=5)
    return f"{home}/x.parquet"


def in_listing(photos: Path, home: Path) -> str:
    (home / "x.txt").write_text("".join(f"{photos / name}\n" for name in NAMES))
    return f"{home}/x.txt"


@pytest.mark.parametrize("packed", [in_tar, in_packed_tar, in_table, in_listing])
def test_as_a_folder(
    photos: Path, tmp_path: Path, encoder: CountingEncoder, packed: Callable[[Path, Path], str]
) -> None:
    build(photos, encoder)
    source = packed(photos, tmp_path)
    assert build(source, encoder, index=tmp_path / "index").images == 12

    with (
        retrieval.open(photos, encoder=encoder) as one,
        retrieval.open(tmp_path / "index", encoder=encoder) as other,
    ):
        assert [other.key_of(number) for number in range(12)] == list(other)
        np.testing.assert_array_equal(one.vectors(), other.vectors())
        for number in range(12):
            hits = [
                [(hit.id, hit.score) for hit in collection.search(retrieval.row(number), k=5, names="off")]
                for collection in (one, other)
            ]
            assert hits[0] == hits[1]
            assert (
                other.source.read(other.source.find(other.source.link(other.key_of(number).encode())))
                == (photos / NAMES[number]).read_bytes()
            )
