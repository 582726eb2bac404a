"""Make folders, archives and tables of eight pictures, and build from them; everything lies in the working directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import retrieval
from tests.retrieval.folders import fill
from tests.retrieval.sources.tar.archives import png

NAMES = [f"{folder}/{number}.png" for folder in ("cats", "dogs") for number in range(4)]


def build(*sources: str | Path, **options) -> retrieval.BuildReport:
    """Build the collection ``index`` with the fake encoder."""
    options = {"index": "index", "encoder": "fake", "progress": None, **options}
    return retrieval.build_index([os.fspath(source) for source in sources] or None, **options)


def keys(index: str = "index") -> list[str]:
    with retrieval.open(index) as rows:
        return sorted(rows)


def skipped(index: str = "index") -> dict[str, str]:
    """Return the reason of each line of ``skipped.tsv``."""
    lines = (Path(index) / "skipped.tsv").read_text().splitlines()[1:]
    return {line.split("\t")[0]: line.split("\t")[1] for line in lines}


def photos(names: list[str] = NAMES, folder: str = "photos") -> Path:
    return fill(Path(folder), names)


def members(names: list[str] = NAMES) -> list[tuple[str, bytes]]:
    """Return the files that `photos` writes, as members of an archive."""
    return [(name, png(seed)) for seed, name in enumerate(names)]


def table(path: str = "photos.parquet", names: list[str] = NAMES, **columns) -> str:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    images = [{"bytes": data, "path": name} for name, data in members(names)]
    parquet.write_table(pa.table({"image": images, **columns}), path)
    return path


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
