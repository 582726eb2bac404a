"""Which copies are written, and that they are what is reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.activation.copies import collect, finish
from retrieval.activation.originals import read_original
from retrieval.activation.pixels.fidelity import linf, psnr, ssim
from retrieval.errors import OptionError
from retrieval.sources.decoding.decoder import decode
from tests.retrieval.activation.galleries import NAMES, pixels
from tests.retrieval.pictures import encoded, scene

pytest.importorskip("torch", reason="torch comes with the extra open-clip")


class TestCopies:
    def test_vectors_move_toward_their_codes_and_copies_are_what_is_reported(self, photos, tmp_path):
        retrieval.build_index(photos, kind="PCA16,LSH", device="cpu")
        results = retrieval.activate(
            [photos / name for name in NAMES[:6]], out=tmp_path / "out", device="cpu"
        )

        assert [Path(result.path).name for result in results] == NAMES[:6]
        with retrieval.open(photos, device="cpu") as collection:
            aim = collection.aim()
            for number, result in enumerate(results):
                original, copy = pixels(result.path), pixels(result.output)
                assert result.status == "activated", result.reason
                assert result.psnr == pytest.approx(psnr(original, copy), abs=1e-3)
                assert result.ssim == pytest.approx(ssim(original, copy), abs=1e-4)
                assert result.linf == linf(original, copy)
                assert result.psnr > 38
                row = collection.vectors([number])
                point = aim.points(row)
                assert result.cosine_before == pytest.approx(float(aim.cosines(row, point)[0]), abs=1e-3)
                now = collection.encode(Path(result.output))
                assert result.cosine_after == pytest.approx(float(aim.cosines(now, point)[0]), abs=1e-3)
        gains = [result.cosine_after - result.cosine_before for result in results]
        assert np.mean(gains) > 0.01  # 0.05 to 0.15 is usual: signs alone are far from what they stand for

    @pytest.mark.parametrize(
        ("form", "quality", "suffix"), [("jpeg", 98, "jpg"), ("webp", None, "webp"), ("webp", 97, "webp")]
    )
    def test_other_formats(self, photos, tmp_path, form, quality, suffix):
        # The third gains most: of the first two a lossy WebP eats what is gained.
        (result,) = retrieval.activate(
            photos / NAMES[2], out=tmp_path / "out", format=form, quality=quality, device="cpu"
        )

        assert result.status in ("activated", "scaled_back"), result.reason
        assert result.output == str(tmp_path / "out" / f"02.{suffix}")
        assert psnr(pixels(result.path), pixels(result.output)) == pytest.approx(result.psnr, abs=1e-3)

    def test_the_least_psnr_is_kept_by_changing_less(self, photos, tmp_path):
        loud, quiet = (
            retrieval.activate(
                photos / NAMES[2], out=tmp_path / name, strength=6.0, min_psnr=least, device="cpu"
            )[0]
            for name, least in (("loud", 20.0), ("quiet", 40.0))
        )

        assert loud.status == "activated"
        assert loud.psnr < 38
        assert quiet.status == "scaled_back"
        assert 40 <= quiet.psnr < 40.5

    def test_what_the_format_alone_takes_is_refused_with_a_cure(self, photos, tmp_path):
        (result,) = retrieval.activate(
            photos / NAMES[0], out=tmp_path / "out", format="jpeg", quality=5, device="cpu"
        )

        assert (result.status, result.output) == ("refused", None)
        assert "`quality`" in result.reason
        assert not (tmp_path / "out").exists()

    def test_scaling_back_is_measured_on_the_saved_file(self):
        original = read_original(encoded(scene(), "PNG"), name="x")
        change = np.full((64, 96, 3), 6, np.float32)
        copy = finish(original, change, form="png", quality=None, min_psnr=38)

        assert copy.scale < 1
        assert copy.psnr == psnr(original.seen, np.asarray(decode(copy.data))) >= 38
        assert finish(original, change, form="jpeg", quality=10, min_psnr=38) is None

    def test_robust_takes_other_ways(self, photos, tmp_path):
        plain, robust = (
            retrieval.activate(photos / NAMES[1], out=tmp_path / str(robust), robust=robust, device="cpu")[0]
            for robust in (False, True)
        )

        assert {plain.status, robust.status} == {"activated"}
        assert pixels(plain.output).tobytes() != pixels(robust.output).tobytes()

    @pytest.mark.parametrize(
        "kind", ["PCA16,LSH", "PCA32,IVF4,PQ8x4", "RR,IVF4,RaBitQfs", "PCAW16,L2norm,IVF4,PQ4x4"]
    )
    def test_other_kinds(self, photos, tmp_path, kind):
        retrieval.build_index(photos, kind=kind, device="cpu")
        results = retrieval.activate(
            [photos / name for name in NAMES[:4]], out=tmp_path / "out", device="cpu"
        )

        assert {result.status for result in results} <= {"activated", "refused"}
        assert sum(result.status == "activated" for result in results) >= 2


class TestCollect:
    def test_paths_below_a_folder_stay_and_meeting_names_keep_their_suffix(self, tmp_path):
        for name in ("a/x.jpg", "a/x.png", "b/y.webp", "out/old.png"):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.touch()
        jobs = collect([tmp_path], tmp_path / "out", suffix=".png")

        assert [str(job.output.relative_to(tmp_path / "out")) for job in jobs] == [
            "a/x.jpg.png",
            "a/x.png.png",
            "b/y.png",
        ]

    def test_a_raw_file_beside_its_image_is_no_original(self, tmp_path):
        for name in ("x.PSD", "y.CR2", "x.jpg"):
            (tmp_path / name).touch()

        jobs = collect([tmp_path], tmp_path / "out", suffix=".png")

        assert [str(job.output.relative_to(tmp_path / "out")) for job in jobs] == ["x.png"]

    def test_a_linked_folder_is_refused_with_what_to_give_instead(self, tmp_path):
        for folder in ("in", "elsewhere"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "x.png").touch()
        (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")

        jobs = collect([tmp_path / "in"], tmp_path / "out", suffix=".png")

        assert {job.path.name: job.refused.partition("; ")[2] for job in jobs} == {
            "x.png": "",
            "link": "give that folder itself to activate what is in it",
        }

    def test_two_images_of_one_name_from_two_folders_are_refused(self, tmp_path):
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "x.png").touch()
        with pytest.raises(OptionError, match="same name"):
            collect([tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"], tmp_path / "out", suffix=".png")
