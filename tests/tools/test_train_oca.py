"""Making nano@2: the narrowed tower is the old one where nothing is cut, training draws it to old vectors, and shipping has rules."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="export needs onnx")
pytest.importorskip("safetensors", reason="export needs safetensors")

import retrieval  # noqa: E402
from retrieval.encoders import canonical_spec, load_encoder  # noqa: E402
from retrieval.encoders.families.nano import WEIGHTS as WEIGHTS_FOLDER  # noqa: E402
from retrieval.encoders.families.nano_torch import MEANING, ImageTower  # noqa: E402
from tests.retrieval.folders import fill  # noqa: E402
from tools.train_nano.augment import normalised  # noqa: E402
from tools.train_nano.measure import unit  # noqa: E402
from tools.train_oca import fit as fit_module  # noqa: E402
from tools.train_oca import tower as tower_module  # noqa: E402
from tools.train_oca.__main__ import card, export, objections  # noqa: E402
from tools.train_oca.data import SIDE, Batch, Data, beyond, clusters, joined  # noqa: E402
from tools.train_oca.measure import caption_recall  # noqa: E402
from tools.train_oca.tower import EXTRA, OLD, narrowed  # noqa: E402

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
        same = old.raw(seen(pixels))[:, :MEANING]
        torch.testing.assert_close(raw[:, :MEANING], same, atol=1e-5, rtol=1e-4)
        assert not raw[:, MEANING].any()


def test_a_channel_that_carries_nothing_is_cut_first(old, pixels, monkeypatch):
    monkeypatch.setattr(tower_module, "KEPT", WIDTHS[-1] - 2)
    state = {name: value.clone() for name, value in old.state_dict().items()}
    state["head.weight"][:, [WIDTHS[-2] + 3, WIDTHS[-2] + 7]] = 0
    state["stages.3.second.conv.weight"][:, [1, 20]] = 0
    before = ImageTower(WIDTHS, dim=OLD).eval()
    before.load_state_dict(state)
    new = narrowed(state, seen(pixels)).eval()
    with torch.inference_mode():
        torch.testing.assert_close(
            new.raw(seen(pixels))[:, :MEANING], before.raw(seen(pixels))[:, :MEANING], atol=1e-5, rtol=1e-4
        )


def batch_of(images, told, group, numbers):
    """A batch whose targets are the old vectors themselves beside random ones."""
    extra = torch.from_numpy(unit(numbers.standard_normal((len(told), EXTRA))))
    rows, old = torch.arange(len(told)), torch.from_numpy(told)
    return Batch(
        images=images,
        target=torch.cat([old, 0.5 * extra], 1),
        old=old,
        owners=rows,
        groups=torch.from_numpy(group),
        others=old.flip(0),
        other_owners=rows.flip(0),
        mixed=images[:4],
        mixed_target=old[:4],
    )


def test_training_draws_new_vectors_to_old_ones(old, monkeypatch):
    for name, value in (("WARM", 1), ("PARTS", 1), ("RATE", 1e-2)):
        monkeypatch.setattr(fit_module, name, value)
    monkeypatch.setattr(tower_module, "KEPT", WIDTHS[-1])
    numbers = np.random.default_rng(1)
    group = np.arange(32) % 4
    kinds = numbers.standard_normal((4, OLD))
    told = unit(kinds[group] + 0.3 * numbers.standard_normal((32, OLD)))
    tones = torch.from_numpy(numbers.random((4, 3, 4, 4), np.float32))[group]
    images = torch.nn.functional.interpolate(tones, size=(32, 32))
    batch = batch_of(images, told, group, numbers)
    data = SimpleNamespace(old=told, group=group, batch=lambda number: batch)
    torch.manual_seed(0)
    start = narrowed(old.state_dict(), normalised(images)).state_dict()

    def nearness(tower):
        with torch.inference_mode():
            first = tower.eval().raw(normalised(images))[:, :OLD]
            return float(torch.nn.functional.cosine_similarity(first, batch.old).mean())

    untrained = ImageTower(WIDTHS, dim=OLD + EXTRA)
    untrained.load_state_dict(start)
    kept: list[int] = []
    tower, run = fit_module.fit(  # 3 seconds of this process
        data, start, minutes=0.05, threads=1, bfloat16=False, kept=lambda _, samples: kept.append(samples)
    )

    assert run["steps"] > 5
    assert run["samples"] == 36 * run["steps"]
    assert kept == sorted(set(kept))
    assert kept
    assert nearness(tower) > nearness(untrained) + 0.05


def test_old_vectors_of_the_own_photograph_are_not_told_apart(old, pixels, monkeypatch):
    """All pictures are of one photograph: there is nothing to tell apart until others are of strangers."""
    monkeypatch.setattr(tower_module, "KEPT", WIDTHS[-1])
    numbers = np.random.default_rng(4)
    told, group = unit(numbers.standard_normal((12, OLD))), np.arange(12) % 3
    tower = ImageTower(WIDTHS, dim=OLD + EXTRA)
    tower.load_state_dict(narrowed(old.state_dict(), seen(pixels)).state_dict())
    student = fit_module.Student(tower.eval(), torch.eye(3, OLD), bfloat16=False)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    one = torch.zeros(12, dtype=torch.int64)
    batch = replace(batch_of(images, told, group, numbers), owners=one, other_owners=one)
    strangers = replace(batch, other_owners=one + 1)
    with torch.inference_mode():
        own, told_apart = (float(student.terms(given)["contrast"]) for given in (batch, strangers))

    assert own == pytest.approx(0, abs=1e-6)
    assert told_apart > 1  # usual: about log(13)


def test_crops_and_copies_have_the_targets_of_their_photographs(pixels):
    """One part of a batch: photographs, copies of the same, views, and views of two photographs."""
    numbers = np.random.default_rng(5)
    data = Data.__new__(Data)
    data.pixels, data.views, data.train = pixels, pixels[::2].copy(), np.arange(len(pixels))
    data.weights = np.full(len(pixels), 1 / len(pixels))
    data.whole, data.owner = np.arange(4), np.arange(4) * 2
    data.mixed, data.mixed_target = np.array([4, 5]), unit(numbers.standard_normal((2, OLD)))
    data.old, data.group = unit(numbers.standard_normal((12, OLD))), np.arange(12)
    data.target = joined(data.old, data.old, unit(numbers.standard_normal((12, EXTRA))))
    data.view_target = -data.target[::2]

    batch = data.batch(3)

    third = len(pixels)  # 12 photographs are fewer than a part has
    assert batch.images.shape == (third * 2 + 4, 3, SIDE, SIDE)
    assert batch.mixed.shape == (2, 3, SIDE, SIDE)
    assert {tuple(row) for row in batch.mixed_target.tolist()} == {
        tuple(row) for row in data.mixed_target.tolist()
    }
    torch.testing.assert_close(batch.owners[:third], batch.owners[third : 2 * third])
    torch.testing.assert_close(batch.old, torch.from_numpy(data.old)[batch.owners])
    torch.testing.assert_close(batch.target[:third], torch.from_numpy(data.target)[batch.owners[:third]])
    torch.testing.assert_close(
        batch.target[2 * third :], -torch.from_numpy(data.target)[batch.owners[2 * third :]]
    )
    again = data.batch(3)
    torch.testing.assert_close(again.images, batch.images)


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
    monkeypatch.setattr("retrieval.encoders.families.nano.WEIGHTS", home)
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
