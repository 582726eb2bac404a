"""On a CPU the faster of torch and ONNX Runtime runs a tower, if both give the same."""

import json
import sys

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch comes with the extra open-clip")
pytest.importorskip("onnx", reason="exporting needs onnx")

import torch

from retrieval.encoders.towers import CpuTowers, Tower, cpu_towers
from tests.retrieval.encoders.towers.models import IMAGE, TEXT, Tiny, pixels, tiny, tokens


class Loading:
    """Loads the tiny model once, and counts."""

    def __init__(self):
        self.loaded = self.given_back = 0
        self.model = tiny()

    def __call__(self):
        self.loaded += 1
        return self.model

    def done(self):
        self.given_back += 1


@pytest.fixture
def gain(monkeypatch):
    """Let ONNX Runtime be twice as fast, whatever this machine is busy with."""
    measured = []
    monkeypatch.setattr(cpu_towers, "_gain", lambda old, new: measured.append((old, new)) or 2.0)
    return measured


def towers(folder, loading=None, **others):
    loading = loading or Loading()
    return CpuTowers(
        folder, loading, {"image": IMAGE, "text": TEXT, **others}, done=loading.done, notes={"who": "tiny"}
    )


def right(inputs, encode="encode_image"):
    with torch.inference_mode():
        rows = getattr(tiny(), encode)(torch.from_numpy(inputs))
        return torch.nn.functional.normalize(rows, dim=-1).numpy()


def encode_many(made):
    for _ in range(cpu_towers.AFTER // 64):
        made.encode("image", pixels(64))


def test_a_few_images_are_encoded_by_torch(tmp_path, gain):
    made = towers(tmp_path / "cache")

    np.testing.assert_allclose(made.encode("image", pixels(3)), right(pixels(3)), atol=1e-6)
    assert made.runtime("image") == "torch"
    assert not (tmp_path / "cache").exists()


def test_many_are_encoded_by_a_graph_that_other_processes_find(tmp_path, gain):
    loading = Loading()
    made = towers(tmp_path / "cache", loading)
    encode_many(made)

    assert (made.runtime("image"), made.runtime("text"), made.note) == ("onnx", "onnx", None)
    assert loading.given_back == 1
    assert len(gain) == 2
    later = Loading()
    again = towers(tmp_path / "cache", later)
    np.testing.assert_allclose(again.encode("image", pixels(5)), right(pixels(5)), atol=1e-5)
    asked = tokens(2, 7, 4)
    np.testing.assert_allclose(again.encode("text", asked), right(asked, "encode_text"), atol=1e-5)
    assert later.loaded == 0
    facts = json.loads((tmp_path / "cache" / "towers.json").read_text())
    assert facts["who"] == "tiny"
    assert facts["towers"]["image"]["cosine"] > 0.9999


def test_a_graph_that_gives_other_vectors_is_not_used(tmp_path, gain):
    wrong = Tower(
        module=lambda network: torch.nn.Sequential(network.patches, torch.nn.Flatten()),
        encode=lambda network, given: network.patches(given).flatten(1).roll(1, 1),
        example=IMAGE.example,
    )
    made = towers(tmp_path / "cache", image=wrong)
    with pytest.warns(
        RuntimeWarning, match=r"the image tower runs in torch: its graph gives other vectors \(cosine"
    ):
        encode_many(made)

    assert (made.runtime("image"), made.runtime("text")) == ("torch", "onnx")
    assert [path.name for path in sorted((tmp_path / "cache").iterdir())] == ["text.onnx", "towers.json"]


def test_a_graph_that_is_no_faster_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu_towers, "_gain", lambda old, new: 0.5)
    made = towers(tmp_path / "cache")
    encode_many(made)

    assert made.runtime("image") == made.runtime("text") == "torch"
    assert (
        made.note
        == "the text tower runs in torch: ONNX Runtime takes 2.00 times torch's time on this machine"
    )
    assert made.trouble is None  # nothing is amiss
    later = towers(tmp_path / "cache")
    later.encode("image", pixels(1))  # known, not measured again
    assert later.note == made.note.replace("text", "image")


def test_a_tower_that_cannot_be_exported_runs_in_torch(tmp_path, gain):
    class Fails(torch.nn.Module):
        def forward(self, given):
            raise RuntimeError("not traceable")

    made = towers(
        tmp_path / "cache",
        text=Tower(module=lambda _: Fails(), encode=TEXT.encode, example=TEXT.example),
    )
    with pytest.warns(
        RuntimeWarning, match=r"the text tower runs in torch: it cannot be exported \(not trace"
    ):
        encode_many(made)

    assert made.runtime("image") == "onnx"
    np.testing.assert_allclose(
        made.encode("text", tokens(4, 6)), right(tokens(4, 6), "encode_text"), atol=1e-6
    )


def test_a_graph_for_one_number_of_rows_is_not_used(tmp_path, gain):
    class Fixed(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, given):
            return self.network.patches(given).flatten(2).mean(-1)[torch.arange(len(given))]

    fixed = Tower(module=Fixed, encode=IMAGE.encode, example=IMAGE.example)
    made = towers(tmp_path / "cache", image=fixed)
    with pytest.warns(RuntimeWarning, match="the image tower runs in torch"):
        encode_many(made)

    np.testing.assert_allclose(made.encode("image", pixels(9)), right(pixels(9)), atol=1e-6)


def test_without_the_package_onnx_torch_goes_on_and_nothing_is_remembered(tmp_path, gain, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    made = towers(tmp_path / "cache")
    with pytest.warns(RuntimeWarning, match="they cannot be exported: .*onnx"):
        encode_many(made)
    made.encode("image", pixels(64))  # it does not try with every batch

    assert made.runtime("image") == "torch"
    assert made.trouble == made.note is not None
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_leaves_torch(tmp_path, gain):
    (tmp_path / "file").write_text("no folder")
    made = towers(tmp_path / "file" / "cache")
    with pytest.warns(RuntimeWarning, match="they cannot be exported"):
        encode_many(made)

    np.testing.assert_allclose(made.encode("image", pixels(2)), right(pixels(2)), atol=1e-6)


def test_a_damaged_graph_is_named_and_torch_goes_on(tmp_path, gain):
    encode_many(towers(tmp_path / "cache"))
    (tmp_path / "cache" / "image.onnx").write_bytes(b"damaged")
    again = towers(tmp_path / "cache")
    with pytest.warns(RuntimeWarning, match=r"image\.onnx cannot be opened .*delete that folder"):
        rows = again.encode("image", pixels(2))

    np.testing.assert_allclose(rows, right(pixels(2)), atol=1e-6)


def test_the_gain_is_the_time_of_the_old_over_that_of_the_new(monkeypatch):
    clock = iter(np.cumsum([0, 4, 0, 1, 0, 6, 0, 2, 0, 4, 0, 3]).tolist())
    monkeypatch.setattr(cpu_towers.time, "perf_counter", lambda: next(clock))

    assert cpu_towers._gain(lambda: None, lambda: None) == 4.0


def test_texts_are_cut_to_the_longest(tmp_path, gain):
    made = towers(tmp_path / "cache")
    encode_many(made)
    asked = []
    session = made._sessions["text"]
    made._sessions["text"] = Recording(session, asked)
    made.encode("text", tokens(2, 5))

    assert asked == [(2, 5)]


class Recording:
    def __init__(self, session, asked):
        self.session, self.asked = session, asked

    def run(self, outputs, feeds):
        self.asked += [value.shape for value in feeds.values()]
        return self.session.run(outputs, feeds)


def test_the_tiny_model_looks_back_only():
    """What follows a text's end must not matter, or cutting it would."""
    assert isinstance(tiny(), Tiny)
    other = tokens(4)
    other[0, 5:] = 7

    np.testing.assert_allclose(right(tokens(4), "encode_text"), right(other, "encode_text"), atol=1e-6)
