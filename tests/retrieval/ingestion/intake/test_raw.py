"""Raw photographs are taken by the preview in them, unless their JPEG lies beside them."""

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.sources import read_skipped
from retrieval.sources.folders import folder_walk
from tests.retrieval.folders import picture
from tests.retrieval.ingestion.galleries import build, paths
from tests.retrieval.sources.media.made import dng, quarters

pytest.importorskip("rawpy", reason="the extra `raw` is not installed")

PICTURE = Image.fromarray(quarters(320, 192))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.NEF").write_bytes(dng(PICTURE, orientation=6))
    return folder


def test_a_raw_photograph_is_a_row_of_its_upright_preview(photos, encoder):
    report = build(photos, encoder)

    assert set(paths(photos, encoder)) == {"a.NEF"}
    assert report.skipped == 0
    with retrieval.open(photos, encoder=encoder) as collection:
        assert collection["a.NEF"].open().size == (192, 320)
        upright = PICTURE.transpose(Image.Transpose.ROTATE_270)
        assert np.asarray(collection.search(upright, k=1)[0].score) > 0.99


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.heic"])
def test_one_beside_a_photograph_of_the_same_name_is_left_out_and_counted(photos, encoder, name):
    (photos / "b.dng").write_bytes(dng(picture(3, size=64)))
    picture(1).save(photos / name, "JPEG")

    report = build(photos, encoder)

    assert set(paths(photos, encoder)) == {name, "b.dng"}
    assert report.skipped == 0
    assert any(line.startswith("1 raw photographs lie beside") for line in report.notes)


def test_one_whose_jpeg_is_excluded_is_taken(photos, encoder):
    picture(1).save(photos / "a.jpg", "JPEG")

    build(photos, encoder, exclude=["*.jpg"])

    assert set(paths(photos, encoder)) == {"a.NEF"}


def test_without_the_extra_it_is_listed_unread_and_its_row_stays(photos, encoder, monkeypatch):
    build(photos, encoder)
    (photos / "b.dng").write_bytes(b"not read")
    monkeypatch.setattr(folder_walk, "has_rawpy", lambda: False)

    report = build(photos, encoder)

    assert set(paths(photos, encoder)) == {"a.NEF"}
    assert report.skipped_by_reason == {"needs-raw": 2}
    assert "[raw]" in read_skipped(photos / ".retrieve")[b"b.dng"].detail


def test_one_that_cannot_be_read_has_a_reason(photos, encoder):
    (photos / "b.cr2").write_bytes(b"II*\0\x10\0\0\0CR\2\0" + bytes(100))
    (photos / "c.raf").write_bytes(b"no photograph")

    build(photos, encoder)

    reasons = {key: file.reason for key, file in read_skipped(photos / ".retrieve").items()}
    assert reasons == {b"b.cr2": "unsupported", b"c.raf": "unreadable"}
