"""Making nano@2: the narrowed tower is the old one where nothing is cut, training draws it to old vectors, and shipping has rules."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="export needs onnx")
pytest.importorskip("safetensors", reason="export needs safetensors")

import retrieval  # noqa: E402
from retrieval.encoders import canonical_spec, load_encoder  # noqa: E402
from retrieval.encoders.nano import WEIGHTS as WEIGHTS_FOLDER  # noqa: E402
from retrieval.encoders.nano_torch import ImageTower  # noqa: E402
from tests.retrieval.folders import fill  # noqa: E402
from tools.train_nano.measure import unit  # noqa: E402
from tools.train_nano.train import normalised  # noqa: E402
from tools.train_oca import fit as fit_module  # noqa: E402
from tools.train_oca import tower as tower_module  # noqa: E402
from tools.train_oca.__main__ import card, export, objections  # noqa: E402
from tools.train_oca.data import beyond, clusters  # noqa: E402
from tools.train_oca.measure import caption_recall  # noqa: E402
from tools.train_oca.tower import EXTRA, OLD, SIDE, Last, narrowed, trunk  # noqa: E402

WIDTHS = (8, 12, 16, 24)


@pytest.fixture(scope="module")
def old():
    torch.manual_seed(0)
    return ImageTower(WIDTHS, dim=OLD).eval()


@pytest.fixture(scope="module")
def pixels():
    numbers = np.random.default_rng(0)
    return numbers.integers(0, 256, (12, 8, 8, 3), np.uint8).repeat(SIDE // 8, 1).repeat(SIDE // 8, 2)


def seen(pixels):
    return normalised(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)


def test_a_tower_that_keeps_every_channel_computes_what_the_old_one_does(old, pixels, monkeypatch):
    monkeypatch.setattr(tower_module, "KEPT", WIDTHS[-1])
    new = narrowed(old.state_dict(), seen(pixels)).eval()
    with torch.inference_mode():
        raw = new.raw(seen(pixels))

        assert raw.shape == (len(pixels), OLD + EXTRA)
        torch.testing.assert_close(raw[:, :OLD], old.raw(seen(pixels)), atol=1e-5, rtol=1e-4)


def test_a_channel_that_carries_nothing_is_cut_first(old, pixels, monkeypatch):
    monkeypatch.setattr(tower_module, "KEPT", WIDTHS[-1] - 2)
    state = {name: value.clone() for name, value in old.state_dict().items()}
    state["head.weight"][:, [3, 7]] = 0
    state["stages.3.second.conv.weight"][:, [1, 20]] = 0
    before = ImageTower(WIDTHS, dim=OLD).eval()
    before.load_state_dict(state)
    new = narrowed(state, seen(pixels)).eval()
    with torch.inference_mode():
        torch.testing.assert_close(
            new.raw(seen(pixels))[:, :OLD], before.raw(seen(pixels)), atol=1e-5, rtol=1e-4
        )


def test_what_stays_is_computed_once(old, pixels, tmp_path, monkeypatch):
    """The trunk's output, kept in half precision, through the trained part is the whole tower."""
    rows = np.array([3, 0, 11])
    monkeypatch.setattr(tower_module, "KEPT", WIDTHS[-1])
    new = narrowed(old.state_dict(), seen(pixels)).eval()
    kept = trunk(new, pixels, rows, tmp_path / "trunk.npy")
    with torch.inference_mode():
        raw = Last(new)(torch.from_numpy(kept.astype(np.float32)))
        whole = new.raw(seen(pixels[rows]))

    assert torch.nn.functional.cosine_similarity(raw, whole).min() > 0.9999


def test_training_draws_new_vectors_to_old_ones(old, monkeypatch):
    monkeypatch.setattr(fit_module, "CLASSES", 4)
    monkeypatch.setattr(fit_module, "WARM", 1)
    monkeypatch.setattr(tower_module, "KEPT", WIDTHS[-1])
    numbers = np.random.default_rng(1)
    group = np.arange(32) % 4
    kinds = numbers.standard_normal((4, OLD))
    told = unit(kinds[group] + 0.3 * numbers.standard_normal((32, OLD)))
    x = numbers.standard_normal((4, WIDTHS[2], 7, 7))[group] + 0.3 * numbers.standard_normal(
        (32, WIDTHS[2], 7, 7)
    )
    batch = (
        torch.from_numpy(x.astype(np.float32)),
        torch.from_numpy(told),
        torch.from_numpy(unit(numbers.standard_normal((32, EXTRA)))),
        torch.from_numpy(group),
    )
    data = SimpleNamespace(old=told, group=group, batch=lambda step: batch)
    torch.manual_seed(0)
    tower = narrowed(old.state_dict(), torch.zeros(2, 3, SIDE, SIDE))

    def nearness():
        with torch.inference_mode():
            first = Last(tower)(batch[0])[:, :OLD]
            return float(torch.nn.functional.cosine_similarity(first, batch[1]).mean())

    before = nearness()
    run = fit_module.fit(data, tower, minutes=0.05, threads=1)  # 3 seconds of this process

    assert run["steps"] > 10  # usual: 32 on a busy machine
    assert nearness() > before + 0.05  # usual: + 0.12 after so many


def test_what_the_teacher_knows_beyond_old_vectors_is_what_they_do_not_tell():
    numbers = np.random.default_rng(2)
    old = unit(numbers.standard_normal((600, 8)))
    hidden = numbers.standard_normal((600, EXTRA))
    teacher = np.hstack([10 * old @ numbers.standard_normal((8, EXTRA)), hidden]).astype(np.float32)
    place = beyond(old, teacher, np.arange(600))
    found = place(old, teacher)
    # Cosines among the answers are those of what was hidden, whatever the old vectors add.
    expected = unit(hidden - hidden.mean(0))

    assert found.shape == (600, EXTRA)
    assert np.corrcoef((found @ found.T)[0, 1:], (expected @ expected.T)[0, 1:])[0, 1] > 0.95


def test_no_group_is_empty():
    rows = unit(np.random.default_rng(3).standard_normal((50, 5)))
    rows[:30] = rows[0]

    assert set(clusters(rows, count=20)) == set(range(20))


def test_captions_are_found_among_the_ten_best():
    gallery = np.eye(12, dtype=np.float32)
    words = unit(np.vstack([gallery[3], np.arange(12) + 1.0]))

    assert caption_recall(words, gallery, np.array([3, 2])) == 1.0
    assert caption_recall(words, gallery, np.array([3, 1])) == 0.5  # ten others come before it


@pytest.fixture
def shipped(old, pixels, tmp_path, monkeypatch):
    """A folder of weights with nano@1 as it is and an untrained nano@2."""
    home = tmp_path / "weights"
    home.mkdir()
    (home / "nano-1").symlink_to(WEIGHTS_FOLDER / "nano-1")
    monkeypatch.setattr("retrieval.encoders.nano.WEIGHTS", home)
    monkeypatch.setattr(tower_module, "KEPT", WIDTHS[-1] - 2)
    first = load_encoder("nano@1")
    export(narrowed(old.state_dict(), seen(pixels)), home / "nano-2", extends=first.space, samples=7)
    return first


def test_the_newest_version_is_nano(shipped):
    second = load_encoder("nano")

    assert canonical_spec("nano") == "nano@2"
    assert (second.space.name, second.space.dim, second.space.nesting[-2:]) == ("nano@2", 384, (256, 384))
    assert second.extends == (shipped.space,)
    words = second.encode_text(["a red bus"])
    np.testing.assert_array_equal(words[:, :OLD], shipped.encode_text(["a red bus"]))
    assert not words[:, OLD:].any()


def test_a_collection_of_nano_1_goes_over_by_prefix(shipped, tmp_path):
    home = fill(tmp_path / "photos", [f"{number:02}.png" for number in range(45)])
    retrieval.build_index(home, encoder="nano@1")
    report = retrieval.upgrade(home, encoder="nano@2", force=True)  # untrained, it finds less

    assert (report.method, report.recorded) == ("prefix", True)
    with retrieval.open(home) as collection:
        assert collection.search("a red bus", k=3, dim=64)  # prefixes go on
    assert retrieval.backfill(home).complete
    assert retrieval.build_index(home).encoder == "nano@2"
    with retrieval.open(home) as collection:
        (hit,) = collection.search(home / "07.png", k=1, include_self=True)
        assert (hit.path, hit.score) == ("07.png", pytest.approx(1, abs=2e-3))
    assert retrieval.rollback(home).encoder == "nano@1"


def facts(*, crops=(0.7, 0.8, 0.8), labels=(0.5, 0.6, 0.6)):
    names = ("old_old", "new_old", "new_new")
    return {
        "gallery": 100,
        "crops": 50,
        "labelled": 60,
        "captions": 10,
        "crop_recall_at_1": dict(zip(names, crops, strict=True)),
        "knn_accuracy": dict(zip(names, labels, strict=True)),
        "caption_recall_at_10": {"old_old": 0.2, "new_new": 0.25},
    }


def test_only_what_beats_the_old_encoder_and_is_small_is_shipped(tmp_path, monkeypatch):
    for name, size in (("nano-1", 900), ("nano-2", 800), (".nano-2", 400)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "image.safetensors").write_bytes(bytes(size))
    building = tmp_path / ".nano-2"
    monkeypatch.setattr("tools.train_oca.__main__.MOST_FILE", 500)
    monkeypatch.setattr("tools.train_oca.__main__.MOST_TOGETHER", 1300)  # the nano-2 of before is replaced

    assert objections(facts(), building) == []
    assert objections(facts(labels=(0.5, 0.5, 0.6)), building) == [
        "knn_accuracy: new/old 0.500 does not beat old/old 0.500"
    ]
    assert len(objections(facts(crops=(0.7, 0.6, 0.9), labels=(0.5, 0.4, 0.6)), building)) == 2
    (building / "image.safetensors").write_bytes(bytes(501))
    assert len(objections(facts(), building)) == 2  # the file, and all together


def test_the_card_tells_what_was_measured():
    text = card(facts(), {"samples": 1000, "core_minutes": 16})

    assert "| new/old | 0.800 | 0.600 |" in text
    assert "0.200 in vectors of nano@1, 0.250 in vectors of nano@2" in text.replace("\n", " ")
