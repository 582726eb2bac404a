"""One process writes, and readers go on."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrieval
from retrieval.errors import StoreLocked
from tests.retrieval.folders import CountingEncoder, fill
from tests.retrieval.ingestion.galleries import build


def test_one_writer(photos: Path, encoder: CountingEncoder) -> None:
    from indexes.store.lock import WriterLock

    build(photos, encoder)
    with WriterLock(photos / ".retrieve"), pytest.raises(StoreLocked, match="this process"):
        build(photos, encoder)


def test_readers_go_on_during_a_build_and_see_it_after_refresh(
    photos: Path, encoder: CountingEncoder
) -> None:
    build(photos, encoder)
    with retrieval.open(photos, encoder=encoder) as reader:
        fill(photos, ["new.png"], first=100)
        build(photos, encoder)

        assert len(reader.search(photos / "a/0.png", k=50)) == 11
        assert reader.refresh()
        assert len(reader.search(photos / "a/0.png", k=50)) == 12
        assert not reader.refresh()


def test_who_is_locked_out_leaves_the_directory_alone(photos: Path, encoder: CountingEncoder) -> None:
    from indexes.store.lock import WriterLock

    with WriterLock(photos / ".retrieve"):  # another first build, before its first manifest
        (photos / ".retrieve" / "mark").touch()
        with pytest.raises(StoreLocked):
            build(photos, encoder)
        assert (photos / ".retrieve" / "mark").exists()
