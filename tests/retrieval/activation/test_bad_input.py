"""What cannot be activated is refused by name, and nothing is overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.activation import activation
from retrieval.activation.originals import read_original
from retrieval.errors import (
    CapabilityMissing,
    CollectionNotFound,
    MissingExtra,
    OptionError,
    SpaceMismatch,
    StoreLocked,
)
from retrieval.testing import FakeEncoder
from tests.retrieval.activation.galleries import KIND, NAMES, pixels
from tests.retrieval.folders import fill
from tests.retrieval.pictures import animated, encoded, jpeg, scene

pytest.importorskip("torch", reason="torch comes with the extra open-clip")


class TestBadInput:
    def test_images_of_all_sorts_are_handled_or_refused_by_name(self, photos, tmp_path):
        odd = tmp_path / "odd"
        odd.mkdir()
        (odd / "deep.png").write_bytes(
            encoded(
                Image.fromarray(np.asarray(scene(140, 120, seed=1).convert("L")).astype(np.uint16) * 257),
                "PNG",
            )
        )
        (odd / "clear.png").write_bytes(encoded(scene(140, 120).convert("RGBA"), "PNG"))
        (odd / "grey.jpg").write_bytes(jpeg(scene(140, 120).convert("L")))
        (odd / "turned.jpg").write_bytes(jpeg(scene(140, 120), orientation=6))
        (odd / "small.png").write_bytes(encoded(scene(24, 20), "PNG"))
        (odd / "moving.gif").write_bytes(animated("GIF"))
        (odd / "text.jpg").write_bytes(b"no image")
        (odd / "empty.jpg").touch()
        results = retrieval.activate(odd, out=tmp_path / "out", index=photos, device="cpu")
        found = {Path(result.path).name: result for result in results}

        assert {name for name, result in found.items() if result.status == "refused" and result.cosine_after is None} == {
            "moving.gif", "text.jpg", "empty.jpg",
        }  # fmt: skip
        assert all(name in found[name].reason for name in ("moving.gif", "text.jpg", "empty.jpg"))
        assert "16 bits" in found["deep.png"].reason
        assert "smaller than" in found["small.png"].reason
        assert all("does not hold it" in result.reason for result in results if result.status == "activated")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
            Path(result.output).name for result in results if result.output
        )
        if found["turned.jpg"].output:
            with Image.open(found["turned.jpg"].output) as copy:
                assert copy.getexif()[0x0112] == 6
            assert pixels(found["turned.jpg"].output).shape == pixels(odd / "turned.jpg").shape

    def test_nothing_is_overwritten_and_copies_are_no_originals(self, photos, tmp_path):
        out = tmp_path / "out"
        out.mkdir()
        (out / "00.png").write_bytes(b"mine")
        first = retrieval.activate([photos / "00.png", photos / "01.png"], out=out, device="cpu")
        again = retrieval.activate([photos / "01.png"], out=out, device="cpu")
        copy = retrieval.activate([out / "01.png"], out=tmp_path / "other", index=photos, device="cpu")

        assert [result.status for result in first] == ["refused", "activated"]
        assert "not overwritten" in first[0].reason
        assert (out / "00.png").read_bytes() == b"mine"
        assert (again[0].status, copy[0].status) == ("refused", "refused")
        assert "already activated for this index" in again[0].reason
        assert "already activated, a copy" in copy[0].reason
        assert not list(out.glob(".partial*"))

    @pytest.mark.parametrize("given", ["file", "folder"])
    def test_the_images_own_folder_is_refused(self, photos, given):
        before = sorted(photos.iterdir())
        with pytest.raises(OptionError, match="own folder"):
            retrieval.activate(
                photos / NAMES[0] if given == "file" else photos, out=photos / "." / "", device="cpu"
            )

        assert sorted(photos.iterdir()) == before

    def test_a_flat_collection_has_nothing_to_gain(self, photos, tmp_path):
        retrieval.build_index(photos, kind="flat", device="cpu")
        with pytest.raises(OptionError, match="flat"):
            retrieval.activate(photos / NAMES[0], out=tmp_path / "out", device="cpu")

    @pytest.mark.parametrize("kind", ["flat", "ivfrabitq", "IVF100,Flat"])
    def test_too_few_images_for_codes_are_named_as_the_cause(self, photos, tmp_path, kind):
        retrieval.build_index(photos, kind=kind, device="cpu")
        with pytest.raises(OptionError, match=r"60 rows are too few .* 256.*index more images"):
            retrieval.activate(photos / NAMES[0], out=tmp_path / "out", device="cpu")

    def test_codes_that_lose_nothing_are_refused(self, photos, tmp_path):
        retrieval.build_index(photos, kind="IVF4,Flat", device="cpu")
        with pytest.raises(OptionError, match="nothing is to be gained"):
            retrieval.activate(photos / NAMES[0], out=tmp_path / "out", device="cpu")

    def test_an_index_of_another_encoder_is_refused(self, photos, tmp_path):
        with pytest.raises(SpaceMismatch):
            retrieval.activate(photos / NAMES[0], out=tmp_path / "out", encoder=FakeEncoder())

    def test_an_encoder_without_gradients_is_refused(self, tmp_path):
        folder = fill(tmp_path / "fakes", NAMES)
        retrieval.build_index(folder, encoder=FakeEncoder(), kind=KIND)
        with pytest.raises(CapabilityMissing, match="no gradients"):
            retrieval.activate(folder / NAMES[0], out=tmp_path / "out", encoder=FakeEncoder())

    def test_a_build_that_is_running_is_not_disturbed(self, photos, tmp_path):
        from indexes.store.lock import WriterLock

        with WriterLock(photos / ".retrieve"), pytest.raises(StoreLocked):
            retrieval.activate(photos / NAMES[0], out=tmp_path / "out", device="cpu")

    @pytest.mark.parametrize(
        ("options", "word"),
        [
            ({"steps": 0}, "steps"),
            ({"strength": 0.0}, "strength"),
            ({"strength": float("nan")}, "strength"),
            ({"min_psnr": -1.0}, "min-psnr"),
            ({"format": "gif"}, "gif"),
            ({"quality": 90}, "png"),
            ({"format": "jpeg", "quality": 0}, "quality"),
        ],
    )
    def test_values_that_cannot_be(self, photos, tmp_path, options, word):
        with pytest.raises(OptionError, match=word):
            retrieval.activate(photos / NAMES[0], out=tmp_path / "out", **options)

    def test_paths_that_cannot_be(self, photos, tmp_path):
        (tmp_path / "bare").mkdir()
        for images, error in (
            ([], OptionError),
            ([tmp_path / "gone.png"], OptionError),
            ([tmp_path / "bare"], OptionError),
        ):
            with pytest.raises(error):
                retrieval.activate(images, out=tmp_path / "out")
        shutil.copy(photos / NAMES[0], tmp_path / "stray.png")
        with pytest.raises(CollectionNotFound):
            retrieval.activate(tmp_path / "stray.png", out=tmp_path / "out")

    def test_without_torch_it_says_what_to_install(self, photos, tmp_path, monkeypatch):
        monkeypatch.setattr(activation, "find_spec", lambda _: None)
        with pytest.raises(MissingExtra, match=r"pip install .*\[open-clip\]"):
            retrieval.activate(photos / NAMES[0], out=tmp_path / "out")


def test_one_file_with_broken_metadata_or_too_long_for_the_format_ends_no_run(photos, tmp_path):
    odd = tmp_path / "odd"
    odd.mkdir()
    for name in ("bad.jpg", "good.jpg"):
        scene(140, 120).save(odd / name, exif=b"Exif\0\0XXnot a TIFF" if name == "bad.jpg" else b"")
    scene(120, 140).resize((16_500, 520)).save(odd / "long.jpg")
    (note,) = read_original((odd / "bad.jpg").read_bytes(), name="bad.jpg").notes
    assert note == "its EXIF cannot be read and is left out"
    retrieval.build_index(photos, kind=KIND, device="cpu")
    results = {
        Path(result.path).name: result
        for result in retrieval.activate(
            odd, out=tmp_path / "out", index=photos, format="webp", device="cpu", steps=2
        )
    }

    assert set(results) == {"bad.jpg", "good.jpg", "long.jpg"}
    assert results["long.jpg"].status == "refused"
    assert "cannot be written as webp" in results["long.jpg"].reason
    assert "long.jpg" in results["long.jpg"].reason
    bad = results["bad.jpg"]
    assert "its EXIF cannot be read and is left out" in bad.reason or bad.status == "refused"
    assert bad.status == results["good.jpg"].status
