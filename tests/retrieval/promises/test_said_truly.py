"""What a collection says of its encoder, device and upgrade is so."""

from __future__ import annotations

import os

import numpy as np
import pytest

import retrieval
from retrieval.cli.reports import history
from retrieval.encoders.devices import devices
from retrieval.errors import CapabilityMissing, OptionError, SpaceMismatch, UnknownEncoder
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import fill, without_probes


def test_a_collection_of_images_by_an_encoder_object_was_not_built_from_vectors(tmp_path):
    retrieval.build_index(fill(tmp_path / "p", ["a.png", "b.png"]), encoder=FakeEncoder())
    with (
        retrieval.open(tmp_path / "p") as collection,
        pytest.raises(CapabilityMissing, match="built from images by the encoder object fake"),
    ):
        collection.search("red")
    with pytest.raises(OptionError, match="or by an encoder object"):
        retrieval.build_index(tmp_path / "p")


def test_a_collection_of_vectors_was(tmp_path):
    retrieval.sync_vectors(tmp_path, np.eye(4), list("abcd"), space="mine")
    with (
        retrieval.open(tmp_path) as collection,
        pytest.raises(CapabilityMissing, match="was built from vectors of the space mine"),
    ):
        collection.search("red")


@pytest.mark.parametrize("spec", ["nano@99", "nanoo", "timm:no_such_model_at_all", "onnx:/nowhere"])
def test_an_encoder_that_cannot_be_had_is_found_before_the_folder_is_walked(tmp_path, monkeypatch, spec):
    fill(tmp_path, ["a.png"])
    monkeypatch.setattr(
        "retrieval.ingestion.one_collection.find_changes",
        lambda *_, **__: pytest.fail("the folder was walked"),
    )
    with pytest.raises((UnknownEncoder, retrieval.RetrievalError)):
        retrieval.build_index(tmp_path, encoder=spec)
    assert not (tmp_path / ".retrieve" / "manifest.json").exists()


@pytest.mark.parametrize(("device", "there"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2), ("mps", 0)])
def test_a_device_that_is_not_there_is_refused(monkeypatch, device, there):
    monkeypatch.setattr(devices, "cuda_devices", lambda: there)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(OptionError, match=f"^device {device}: "):
        devices.require_device(device)


def test_a_device_that_is_there_is_taken(monkeypatch):
    monkeypatch.setattr(devices, "cuda_devices", lambda: 2)

    assert [devices.require_device(name) for name in (" cuda ", "cuda:1", "cpu", "auto")] == [
        "cuda", "cuda:1", "cpu", "auto",
    ]  # fmt: skip


@pytest.mark.parametrize("command", [["query", "a cat"], ["build-index", "PHOTOS"], ["evaluate"]])
def test_the_command_line_does_not_leave_a_cards_work_to_the_cpu_silently(
    tmp_path, monkeypatch, capsys, command
):
    from retrieval.cli import main

    folder = fill(tmp_path / "p", ["a.png", "b.png"])
    retrieval.build_index(folder, encoder="nano", device="cpu")
    monkeypatch.setattr(devices, "cuda_devices", lambda: 0)
    where = [str(folder) if word == "PHOTOS" else word for word in command]

    assert main([*where, "--index", str(folder), "--device", "cuda"]) == 1
    assert capsys.readouterr() == (
        "", "error: device cuda: this machine has no CUDA device that a driver sees; use cpu or auto\n",
    )  # fmt: skip


class Deaf:
    """An encoder without words."""

    def __init__(self) -> None:
        self._inner = FakeEncoder(name="deaf", dim=32)
        self.space = self._inner.space
        self.preprocess, self.encode_pixels = self._inner.preprocess, self._inner.encode_pixels


def test_words_during_an_upgrade_are_refused_for_the_encoder_in_use(tmp_path):
    fill(tmp_path, [f"{n}.png" for n in range(40)])
    retrieval.build_index(tmp_path, encoder="nano", device="cpu")
    deaf = Deaf()
    retrieval.upgrade(tmp_path, encoder=deaf, force=True, device="cpu")
    with (
        retrieval.open(tmp_path, encoder=deaf) as collection,
        pytest.raises(CapabilityMissing, match="deaf understands no words") as caught,
    ):
        collection.search("a cat")

    assert "such as nano" not in str(caught.value)
    assert "rollback" in str(caught.value)
    assert retrieval.load_encoder("nano").space.name in str(caught.value)


@pytest.mark.parametrize("compatible", [True, False])
def test_a_method_that_is_not_compatible_is_not_called_so(compatible):
    text = history(
        {
            "encoders": ["a", "b"], "matrix": [[0.5, None], [0.5, 0.9]], "curve": {"share": [0, 1],
            "random": [0.5, 0.9], "area_random": 0.7}, "gain": None, "backfilled": 0, "remaining": 10,
            "unmeasured": [], "state": "migrating", "method": "ridge", "ac": 1.0, "am": 0.6, "compatible": compatible,
            "plan": "map", "old": "a", "new": "b", "measure": "views", "encoded_so_far": 0,
        }
    )  # fmt: skip
    (line,) = [line for line in text.splitlines() if line.startswith("compatible")]

    assert line.split(maxsplit=1)[1].startswith(
        "100% of the mixed tests" if compatible else "no: ridge finds no more"
    )


@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_python_does_not_leave_a_cards_work_to_the_cpu_silently(tmp_path, monkeypatch, device):
    monkeypatch.setattr(devices, "cuda_devices", lambda: 0)
    folder = fill(tmp_path / "p", ["a.png", "b.png"])
    retrieval.build_index(folder, encoder=FakeEncoder())

    with pytest.raises(OptionError, match=f"device {device}: this machine has no CUDA device"):
        retrieval.open(folder, device=device)
    with pytest.raises(OptionError, match=f"device {device}: "):
        retrieval.build_index(
            folder, encoder=FakeEncoder(), device=device
        )  # even where nothing is to be done
    with pytest.raises(OptionError, match=f"device {device}: "):
        retrieval.sync_vectors(tmp_path, np.eye(4), list("abcd"), space="mine", device=device)


class Impostor(FakeEncoder):
    """Another encoder under the same made-up fingerprint."""

    def encode_pixels(self, batch):
        return np.roll(super().encode_pixels(batch), 7, axis=1)

    def encode_text(self, texts):
        return np.roll(super().encode_text(texts), 7, axis=1)


@pytest.mark.parametrize("query", ["red", "picture"])
def test_another_encoder_of_the_same_fingerprint_is_refused_by_a_search(tmp_path, query):
    folder = fill(tmp_path / "p", [f"{n}.png" for n in range(5)])
    retrieval.build_index(folder, encoder=FakeEncoder())
    asked = (
        folder.parent / fill(tmp_path / "q", ["other.png"], first=60) / "other.png"
        if query == "picture"
        else query
    )
    with (
        retrieval.open(folder, encoder=Impostor()) as collection,
        pytest.raises(
            SpaceMismatch,
            match=r"another vector than when this collection was built \(cosine -?0\.\d\d, at least 0\.98",
        ),
    ):
        collection.search(asked)
    with retrieval.open(folder, encoder=FakeEncoder()) as collection:
        assert collection.search(asked)


def test_another_encoder_is_refused_in_collections_of_earlier_versions_too(tmp_path):
    folder = fill(tmp_path / "p", [f"{n}.png" for n in range(5)])
    retrieval.build_index(folder, encoder=FakeEncoder())
    without_probes(folder)

    with (
        retrieval.open(folder, encoder=Impostor()) as collection,
        pytest.raises(SpaceMismatch, match=r"gives .*png another vector than the collection holds \(cosine"),
    ):
        collection.search("red")


def test_another_encoder_of_the_same_fingerprint_is_refused_by_a_build_before_it_stores_anything(tmp_path):
    folder = fill(tmp_path / "p", [f"{n}.png" for n in range(5)])
    retrieval.build_index(folder, encoder=FakeEncoder())
    fill(folder, ["new.png"], first=50)
    with pytest.raises(SpaceMismatch, match="give this one a fingerprint of its own"):
        retrieval.build_index(folder, encoder=Impostor())

    with retrieval.open(folder, encoder=FakeEncoder()) as collection:
        assert len(collection) == 5


def test_an_encoder_of_an_earlier_versions_collection_is_not_judged_by_files_that_changed_or_by_imported_vectors(
    tmp_path,
):
    folder = fill(tmp_path / "p", ["a.png", "b.png"])
    retrieval.build_index(folder, encoder=FakeEncoder())
    for path in folder.glob("*.png"):
        stamp = path.stat()
        data = bytearray(path.read_bytes())
        data[-1] ^= 1  # of the same size and time, which alone would pass for unchanged
        path.write_bytes(data)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    without_probes(folder)
    with retrieval.open(folder, encoder=Impostor()) as collection:
        assert collection.search("red")
    space = FakeEncoder().space
    retrieval.sync_vectors(tmp_path / "v", np.eye(4, 64), list("abcd"), space=space)
    with retrieval.open(tmp_path / "v", encoder=Impostor()) as collection:
        assert collection.search("red")
