from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval import activating, activation, provenance, survival
from retrieval.attacks import ATTACKS
from retrieval.copies import collect, finish
from retrieval.errors import (
    CapabilityMissing,
    CollectionNotFound,
    MissingExtra,
    OptionError,
    SpaceMismatch,
    StoreLocked,
)
from retrieval.fidelity import linf, psnr, ssim
from retrieval.images import decode
from retrieval.originals import read_original
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill
from tests.retrieval.pictures import animated, encoded, jpeg, scene

pytest.importorskip("torch", reason="torch comes with the extra open-clip")

ROOT = Path(__file__).parents[2]
KIND = "IVF4,PQ16x4"
NAMES = [f"{number:02}.png" for number in range(60)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of 60 pictures, indexed by nano under codes of 8 bytes."""
    folder = fill(tmp_path_factory.mktemp("activation") / "photos", NAMES)
    retrieval.build_index(folder, kind=KIND, device="cpu")
    return folder


@pytest.fixture
def photos(made, tmp_path):
    """A copy of it, to change."""
    return Path(shutil.copytree(made, tmp_path / "photos"))


def pixels(path):
    return np.asarray(decode(Path(path)))


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
                now = collection.encode(result.output)
                assert result.cosine_after == pytest.approx(float(aim.cosines(now, point)[0]), abs=1e-3)
        gains = [result.cosine_after - result.cosine_before for result in results]
        assert np.mean(gains) > 0.01  # 0.05 to 0.15 is usual: signs alone are far from what they stand for

    @pytest.mark.parametrize(
        ("form", "quality", "suffix"), [("jpeg", 98, "jpg"), ("webp", None, "webp"), ("webp", 97, "webp")]
    )
    def test_other_formats(self, photos, tmp_path, form, quality, suffix):
        (result,) = retrieval.activate(
            photos / NAMES[0], out=tmp_path / "out", format=form, quality=quality, device="cpu"
        )

        assert result.status in ("activated", "scaled_back"), result.reason
        assert result.output == str(tmp_path / "out" / f"00.{suffix}")
        assert psnr(pixels(result.path), pixels(result.output)) == pytest.approx(result.psnr, abs=1e-3)

    def test_the_least_psnr_is_kept_by_changing_less(self, photos, tmp_path):
        loud, quiet = (
            retrieval.activate(
                photos / NAMES[0], out=tmp_path / name, strength=9.0, min_psnr=least, device="cpu"
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
        assert "--quality" in result.reason
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


class TestBadInput:
    def test_images_of_all_sorts_are_handled_or_refused_by_name(self, photos, tmp_path):
        odd = tmp_path / "odd"
        odd.mkdir()
        (odd / "deep.png").write_bytes(
            encoded(Image.fromarray((np.arange(9600).reshape(80, 120) * 6).astype(np.uint16)), "PNG")
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
        from indexes.lock import WriterLock

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
        with pytest.raises(MissingExtra, match=r"retrieval\[open-clip\]"):
            retrieval.activate(photos / NAMES[0], out=tmp_path / "out")


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

    def test_two_images_of_one_name_from_two_folders_are_refused(self, tmp_path):
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "x.png").touch()
        with pytest.raises(OptionError, match="same name"):
            collect([tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"], tmp_path / "out", suffix=".png")


class TestProvenance:
    def test_a_run_is_recorded_and_holds_until_the_index_is_trained_again(self, photos, tmp_path):
        retrieval.activate([photos / name for name in NAMES[:3]], out=tmp_path / "out", device="cpu")
        with retrieval.open(photos) as collection:
            (run,) = collection.info()["activations"]
            listed = list(provenance.entries(collection, run))

            before = collection.manifest.generation
            assert (run["images"], run["void"], run["generation"]) == (3, None, before)
            assert run["fingerprint"] == collection.space.fingerprint
            assert (run["kind"], run["factory"], run["steps"], run["strength"]) == ("factory", KIND, 10, 3.0)
            assert [(os.path.basename(a), os.path.basename(b)) for a, b, _ in listed] == [
                (name, name) for name in NAMES[:3]
            ]
            assert all(copy.is_file() for _, copy, _ in listed)
            assert not os.path.isabs(listed[0][2].output)
        fill(photos, ["new.png"], first=900)
        retrieval.build_index(photos, device="cpu")  # a tail: nothing is trained
        with retrieval.open(photos) as collection:
            assert collection.manifest.generation == before + 1
            assert collection.info()["activations"][0]["void"] is None
        retrieval.build_index(photos, kind="IVF2,PQ16x4", device="cpu")
        with retrieval.open(photos) as collection:
            assert "trained again" in collection.info()["activations"][0]["void"]
        retrieval.build_index(photos, kind="flat", device="cpu")
        with retrieval.open(photos) as collection:
            assert "flat now" in collection.info()["activations"][0]["void"]

    def test_another_encoder_voids_them(self, photos, tmp_path):
        retrieval.activate(photos / NAMES[0], out=tmp_path / "out", device="cpu")
        path = photos / ".retrieve" / "manifest.json"
        facts = json.loads(path.read_text())
        facts["space"]["fingerprint"] = "another"
        path.write_text(json.dumps(facts))
        with retrieval.open(photos) as collection:
            assert "encoder was changed" in collection.info()["activations"][0]["void"]

    def test_an_interrupted_run_records_what_it_wrote(self, photos, tmp_path, monkeypatch):
        monkeypatch.setattr(activating, "BATCH_IMAGES", 2)

        def stop(progress):
            if progress.done >= 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            retrieval.activate(
                [photos / name for name in NAMES[:6]], out=tmp_path / "out", device="cpu", progress=stop
            )
        written = sorted(path.name for path in (tmp_path / "out").iterdir())
        with retrieval.open(photos) as collection:
            (run,) = collection.info()["activations"]

            assert (
                sorted(copy.name for _, copy, _ in provenance.entries(collection, run))
                == written
                == NAMES[:2]
            )
        rest = retrieval.activate([photos / name for name in NAMES[:6]], out=tmp_path / "out", device="cpu")
        assert [result.status for result in rest] == ["refused"] * 2 + ["activated"] * 4


class TestAttacked:
    def test_activated_copies_are_compared_with_their_originals(self, photos, tmp_path):
        retrieval.activate([photos / name for name in NAMES[:5]], out=tmp_path / "out", device="cpu")
        with retrieval.open(photos, device="cpu") as collection:
            report = retrieval.evaluate(collection, attacks=True).to_json()
        rows = report["attacks"]

        assert {row["attack"] for row in rows} == set(ATTACKS)
        assert {(row["stage"], row["measure"]) for row in rows} == {
            (stage, measure) for stage in ("codes", "served") for measure in ("recall_at_1", "micro_ap")
        }
        assert all(
            row["images"] == 5 and 0 <= row["passive"] <= 1 and 0 <= row["active"] <= 1 for row in rows
        )
        found = {(row["attack"], row["stage"], row["measure"]): row for row in rows}
        assert found["none", "served", "recall_at_1"]["passive"] == 1
        assert (
            found["none", "codes", "recall_at_1"]["active"]
            >= found["none", "codes", "recall_at_1"]["passive"]
        )

    def test_without_activated_copies_a_sample_is_measured(self, photos):
        with retrieval.open(photos, device="cpu") as collection:
            chosen = survival.pairs(collection, most=7)
            rows = survival.measure(collection)

        assert len(chosen) == 7
        assert all(row["active"] is None for row in rows)

    def test_copies_that_are_void_or_changed_do_not_count(self, photos, tmp_path):
        retrieval.activate([photos / name for name in NAMES[:3]], out=tmp_path / "out", device="cpu")
        (tmp_path / "out" / "00.png").write_bytes(b"other")
        with retrieval.open(photos) as collection:
            assert [pair.copy.name for pair in survival.pairs(collection)] == NAMES[1:3]
        retrieval.build_index(photos, kind="IVF2,PQ16x4", device="cpu")
        with retrieval.open(photos) as collection:
            assert all(pair.copy is None for pair in survival.pairs(collection, most=5))

    def test_where_codes_lose_next_to_nothing_it_is_said(self):
        rows = [
            {"attack": name, "stage": "served", "measure": "recall_at_1", "passive": passive, "exact": 0.9}
            for name, passive in (("none", 0.9), ("blur", 0.885))
        ]

        assert survival.little_to_gain(rows, "served")
        assert not survival.little_to_gain([row | {"passive": 0.8} for row in rows], "served")
        assert not survival.little_to_gain(rows, "codes")


class TestCommandLine:
    @pytest.fixture
    def run(self, capsysbinary, monkeypatch):
        from retrieval.cli import main

        def run(*arguments):
            status = main([os.fspath(argument) for argument in arguments])
            out, err = capsysbinary.readouterr()
            return status, out.decode(), err.decode()

        return run

    def test_json_has_the_contracts_keys(self, run, photos, tmp_path):
        status, out, _ = run(
            "activate",
            photos / NAMES[0],
            photos / NAMES[1],
            "--out",
            tmp_path / "o",
            "--json",
            "--device",
            "cpu",
        )
        rows = json.loads(out)

        assert status == 0
        assert list(rows[0])[:8] == [
            "path", "output", "status", "psnr", "ssim", "linf", "cosine_before", "cosine_after",
        ]  # fmt: skip
        assert [row["status"] for row in rows] == ["activated"] * 2

    def test_a_summary_and_what_was_refused(self, run, photos, tmp_path):
        run("activate", photos / NAMES[0], "--out", tmp_path / "o", "--device", "cpu")
        status, out, err = run(
            "activate", photos / NAMES[0], photos / NAMES[1], "--out", tmp_path / "o", "--device", "cpu"
        )
        nothing = run("activate", photos / NAMES[0], "--out", tmp_path / "o", "--device", "cpu")
        _, info, _ = run("info", "--index", photos)
        _, table, _ = run("evaluate", "--attacks", "--index", photos, "--device", "cpu")

        assert status == 0
        assert "1 activated, 1 refused" in out
        assert "cosine to the code" in out
        assert "already activated" in err
        assert nothing[0] == 1
        assert "valid" in info
        assert "rotation 25" in table
        assert " -> " in table

    def test_errors_are_one_line(self, run, photos, tmp_path):
        for arguments in (
            ("activate", photos / "gone.png", "--out", tmp_path / "o"),
            ("activate", photos, "--out", photos),
            ("activate", photos / NAMES[0], "--out", tmp_path / "o", "--steps", "0"),
        ):
            status, out, err = run(*arguments)

            assert (status, out, err.count("\n")) == (1, "", 1)
        assert run("activate", "--out", tmp_path / "o")[0] == 2
        assert run("activate", photos / NAMES[0])[0] == 2

    def test_help_loads_nothing_heavy(self):
        code = (
            "import sys\nfrom retrieval.cli import main\nmain(['activate', '--help'])\n"
            "sys.exit(str({'torch', 'faiss', 'onnxruntime'} & set(sys.modules) or ''))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=False, cwd=ROOT, text=True
        )

        assert done.stderr.strip() in ("", "set()")
