"""Damaged, deleted and half written views never make images unreadable, and are made again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import retrieval
from indexes.generation import read_manifest, verify
from retrieval.errors import StoreCorrupt
from retrieval.testing import FakeEncoder
from retrieval.views import cut, record_views, windows
from tests.retrieval.folders import fill, picture

NAMES = [f"{number}.png" for number in range(8)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = fill(tmp_path / "photos", NAMES)
    built(home, views=4)
    return home


def built(home: Path, **options: object) -> retrieval.BuildReport:
    return retrieval.build_index(home, encoder=FakeEncoder(), progress=False, **options)  # type: ignore[arg-type]


def damaged(home: Path) -> dict[str, str]:
    return {check.path: check.cure for check in verify(home / ".retrieve") if not check.ok}


def region(home: Path) -> list[float] | None:
    with retrieval.open(home, encoder=FakeEncoder()) as photos:
        hit = photos.search(cut(picture(5), windows(4)[3]), k=1)[0]
        assert hit.path in NAMES
        return hit.region


def test_verify_checks_every_file_of_the_views(home):
    checked = {check.path for check in verify(home / ".retrieve")}

    assert {"views/manifest.json", "views/vectors.lmdb", "views/rerank.f16"} <= checked
    assert "generations/0003/views.npy" in checked
    assert damaged(home) == {}


@pytest.mark.parametrize("name", ["views/manifest.json", "views/vectors.lmdb/data.mdb"])
def test_what_a_build_does_not_mend_is_moved_away_and_made_again(home, name):
    path = home / ".retrieve" / name
    path.write_bytes(path.read_bytes()[:-4096] if path.suffix == ".mdb" else b"{}")
    with pytest.raises(StoreCorrupt, match="views"):
        region(home)
    found = damaged(home)
    assert all("move the folder views away" in cure for cure in found.values())
    assert found
    shutil.rmtree(home / ".retrieve" / "views")
    report = built(home)
    assert report.views is not None
    assert report.views["encoded"] == 32
    assert region(home) is not None
    assert damaged(home) == {}


def test_a_row_file_that_is_cut_is_named_and_written_again(home):
    path = home / ".retrieve" / "views" / "rerank.f16"
    os.truncate(path, 100)
    with pytest.raises(StoreCorrupt, match=r"views/rerank\.f16"):
        region(home)
    assert set(damaged(home)) == {"views/rerank.f16"}
    built(home)
    assert region(home) is not None
    assert damaged(home) == {}


def test_the_table_of_views_is_read_by_its_checksum_and_made_again(home):
    manifest = read_manifest(home / ".retrieve")
    path = home / ".retrieve" / "generations" / f"{manifest.generation:04d}" / "views.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt, match=r"views\.npy"):
        region(home)
    assert len(damaged(home)) == 1
    path.unlink()
    built(home)
    assert region(home) is not None
    assert damaged(home) == {}


def test_a_folder_of_views_may_be_deleted(home):
    shutil.rmtree(home / ".retrieve" / "views")
    assert region(home) is None
    with retrieval.open(home, encoder=FakeEncoder()) as photos:
        assert photos.info()["views"] == {"per_image": 4, "count": 0, "bytes_per_vector": 0.0}
    assert set(damaged(home)) == {"views"}
    report = built(home)
    assert report.views == {"per_image": 4, "count": 32, "encoded": 32, "failed": 0}
    assert region(home) is not None


def test_views_that_no_manifest_names_are_swept(home):
    shutil.copytree(home / ".retrieve" / "views", home / "kept")
    built(home, views=0)
    shutil.move(home / "kept", home / ".retrieve" / "views")  # as a kill before their removal leaves them
    assert region(home) is None
    built(home)
    assert not (home / ".retrieve" / "views").exists()


def test_an_image_that_cannot_be_read_for_its_views_is_counted_and_tried_again(home, monkeypatch):
    (home / "late.png").write_bytes((home / "0.png").read_bytes() + b"tail")
    from retrieval.views import pictures

    def refuse(*_arguments: object, **_options: object) -> object:
        raise retrieval.errors.ImageError("late.png: cannot be read", reason="read-error")

    with monkeypatch.context() as patched:
        patched.setattr(pictures, "decode", refuse)
        report = built(home)
    assert report.views == {"per_image": 4, "count": 32, "encoded": 0, "failed": 1}
    assert built(home).views == {"per_image": 4, "count": 36, "encoded": 4, "failed": 0}


def test_views_that_were_asked_for_and_never_published_are_no_damage(home):
    built(home, views=0)
    record_views(home / ".retrieve", 4)  # as a kill right after it leaves a collection
    assert damaged(home) == {}
    assert region(home) is None
    assert built(home).views == {"per_image": 4, "count": 32, "encoded": 32, "failed": 0}
