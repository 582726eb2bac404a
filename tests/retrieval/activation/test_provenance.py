"""A collection remembers its activated copies, and when they are void."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

import retrieval
from indexes.generation.manifest import read_manifest, write_manifest
from retrieval.activation import batch_reader
from retrieval.collection import activations
from tests.retrieval.activation.galleries import KIND, NAMES
from tests.retrieval.folders import fill

pytest.importorskip("torch", reason="torch comes with the extra open-clip")


class TestProvenance:
    def test_a_run_is_recorded_and_holds_until_the_index_is_trained_again(self, photos, tmp_path):
        retrieval.activate([photos / name for name in NAMES[:3]], out=tmp_path / "out", device="cpu")
        with retrieval.open(photos) as collection:
            (run,) = collection.info()["activations"]
            listed = list(activations.entries(collection, run))

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
        manifest = read_manifest(photos / ".retrieve")
        another = replace(manifest.space, fingerprint="another")
        write_manifest(photos / ".retrieve", replace(manifest, space=another))
        with retrieval.open(photos) as collection:
            assert "encoder was changed" in collection.info()["activations"][0]["void"]

    def test_an_interrupted_run_records_what_it_wrote(self, photos, tmp_path, monkeypatch):
        monkeypatch.setattr(batch_reader, "BATCH_IMAGES", 2)

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
                sorted(copy.name for _, copy, _ in activations.entries(collection, run))
                == written
                == NAMES[:2]
            )
        rest = retrieval.activate([photos / name for name in NAMES[:6]], out=tmp_path / "out", device="cpu")
        assert [result.status for result in rest] == ["refused"] * 2 + ["activated"] * 4
