"""Any modification time that a file system gives is taken as it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import retrieval
from retrieval.sources import keys
from tests.retrieval.folders import PROBES, CountingEncoder
from tests.retrieval.ingestion.galleries import build

SECONDS = [
    0,
    -1,
    -1_000_000_000,
    -9_223_372_037,
    -11_000_000_000,
    9_223_372_037,
    10_000_000_000,
    1 << 34,
    15_000_000_000,
]


@pytest.mark.parametrize("seconds", SECONDS)
def test_a_file_of_any_time_is_indexed_once_and_asked_for(
    photos: Path, encoder: CountingEncoder, seconds: int
) -> None:
    for name in ("a/0.png", "broken.jpg"):
        (photos / name).touch()
        try:
            os.utime(photos / name, ns=(0, seconds * 10**9 + 123))
        except (OSError, OverflowError):
            pytest.skip("this file system does not hold such a time")

    report = build(photos, encoder)
    assert (report.images, report.skipped) == (12, 1)
    again = build(photos, encoder)

    assert (again.images, again.encoded, again.reused, again.skipped) == (12, 0, 0, 1)
    assert encoder.encoded == 12 + PROBES
    with retrieval.open(photos, encoder=encoder) as collection:
        assert not collection.changed()
        assert [hit.path for hit in collection.search(photos / "a/0.png", k=1, include_self=True)] == [
            "a/0.png"
        ]
        assert encoder.encoded == 12 + PROBES  # its stored vector answers


@pytest.mark.parametrize("seconds", SECONDS)
def test_a_folder_of_any_time_shows_changes(photos: Path, encoder: CountingEncoder, seconds: int) -> None:
    try:
        os.utime(photos / "a", ns=(0, seconds * 10**9))
    except (OSError, OverflowError):
        pytest.skip("this file system does not hold such a time")
    build(photos, encoder)

    with retrieval.open(photos, encoder=encoder) as collection:
        assert not collection.changed()
        (photos / "a/1.png").unlink()
        assert collection.changed()


@pytest.mark.parametrize("time", [10**19, -(10**19), 1 << 80])
def test_times_that_this_file_system_does_not_hold(
    photos: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch, time: int
) -> None:
    """As a file system with wider times would give them."""
    from retrieval.sources.folders import folder_walk

    look = folder_walk._look
    monkeypatch.setattr(
        folder_walk,
        "_look",
        lambda *arguments, **options: look(*arguments, **options)._replace(mtime_ns=time),
    )

    assert build(photos, encoder).images == 12
    again = build(photos, encoder)

    assert (again.encoded, again.reused) == (0, 0)
    with retrieval.open(photos, encoder=encoder) as collection:
        assert keys.mtime_of(collection._opened.store.record(0).stamp) == time
