"""Making nano@2: targets hold the old vector by a fixed map, training draws queries to old vectors, and shipping has rules."""

from __future__ import annotations

import csv
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="export needs onnx")
pytest.importorskip("safetensors", reason="export needs safetensors")

import retrieval  # noqa: E402
from retrieval.encoders import canonical_spec, load_encoder  # noqa: E402
from retrieval.encoders.families.nano import (  # noqa: E402
    WEIGHTS,
    WEIGHTS as WEIGHTS_FOLDER,
    NanoEncoder,
    open_nano,
)
from retrieval.encoders.families.nano_text import map_tensors  # noqa: E402
from retrieval.encoders.families.nano_torch import SIZE, Head, ImageTower, MultiCrop, Querybank  # noqa: E402
from tests.retrieval.folders import fill  # noqa: E402
from tests.tools.training_sets import without_views  # noqa: E402
from tools.train_nano.export import FACTS, export_image, record_files, save_tensors  # noqa: E402
from tools.train_nano.inputs.data import described  # noqa: E402
from tools.train_nano.measure import unit  # noqa: E402
from tools.train_nano.targets.align import Alignment  # noqa: E402
from tools.train_nano.targets.joint import PhotoWords, WordSpace  # noqa: E402
from tools.train_nano.targets.targets import TargetMap  # noqa: E402
from tools.train_nano.tower.train import Recipe, Run, nesting_of  # noqa: E402
from tools.train_nano.words.text import TextStudent, quantised  # noqa: E402
from tools.train_oca import (  # noqa: E402
    finish as finish_module,
    measure,
)
from tools.train_oca.data import EXTENSION, Extension, fit_extension, old_vectors, packed, unpacked  # noqa: E402
from tools.train_oca.finish import Back, label_groups, write  # noqa: E402
from tools.train_oca.head import HeadRecipe, Known, compose, fit_rest, placed, same_label_first, tune  # noqa: E402
from tools.train_oca.ship import CLEARLY, LOSS, card, objections, probes_changed, table  # noqa: E402
from tools.train_oca.state import keep, restore  # noqa: E402
from tools.train_oca.train import LOOKS, last_tower, start_run  # noqa: E402

OLD, WIDTH = 256, 384


@pytest.fixture(scope="module")
def taught():
    """What the teachers say, by a fixed map of features that old vectors partly hold."""
    turn = np.random.default_rng(0).standard_normal((20, 12)).astype(np.float32)
    return SimpleNamespace(
        axes=np.empty((20, 8)), alignment=SimpleNamespace(turn=np.empty((4, 4))), joined=lambda x: unit(x @ turn)
    )  # fmt: skip


def test_the_way_back_is_a_turn_and_gives_the_old_vector(taught):
    numbers = np.random.default_rng(1)
    features = numbers.standard_normal((400, 20)).astype(np.float32)
    old = unit(features @ numbers.standard_normal((20, 16)) + 0.3 * numbers.standard_normal((400, 16)))
    found = fit_extension(taught, old, features, np.ones(400), width=26)
    rows = found.place(old, features)

    assert rows.shape == (400, 26)
    np.testing.assert_allclose(found.axes.T @ found.axes, np.eye(26), atol=1e-4)
    assert (unit(rows @ found.back) * old).sum(1).min() > 0.9999
    np.testing.assert_allclose(found.back.T @ found.back, np.eye(16), atol=1e-4)
    spread = rows.std(0)
    assert (spread[:4] > spread[-4:]).all()  # the widest first: any prefix is free
    assert ((unit(rows[:, :16]) * old).sum(1).mean()) < 0.5


def test_old_vectors_are_made_once(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "tools.train_oca.data.embed_images", lambda _, pixels: calls.append(1) or np.ones((len(pixels), 4), np.float32)
    )  # fmt: skip
    encoder, pixels = SimpleNamespace(space=SimpleNamespace(name="old")), np.zeros((3, 2, 2, 3), np.uint8)
    for _ in range(2):
        assert old_vectors(encoder, pixels, tmp_path / "old.npy", note=lambda _: None).shape == (3, 4)
    assert calls == [1]
    old_vectors(encoder, pixels[:2], tmp_path / "old.npy", note=lambda _: None)
    assert calls == [1, 1]  # of other photographs


@pytest.fixture(scope="module")
def data():
    numbers = np.random.default_rng(0)
    targets = numbers.standard_normal((40, WIDTH)).astype(np.float32)
    turn = np.linalg.qr(numbers.standard_normal((WIDTH, WIDTH)))[0][:, :OLD].astype(np.float32)
    return without_views(targets, side=4, numbers=numbers, old=unit(targets @ turn), back=turn)


RECIPE = Recipe(
    minutes=60, batch=8, part=4, workers=1, bank=16, warm_steps=2, ramp=(-1, 0), sizes=((1.0, 32),), hard=0.5,
    contrast=0.0, asked=0.0, old=5.0, rate=1e-2,
)  # fmt: skip


def test_prefixes_end_with_the_width():
    assert nesting_of(256) == (16, 32, 64, 128, 256)
    assert nesting_of(WIDTH) == (16, 32, 64, 128, 256, WIDTH)


def test_training_draws_queries_to_old_vectors(data, tmp_path):
    run = Run(tmp_path, data, RECIPE, init=None)
    told = [run._one_step()["old"] for _ in range(40)]

    assert np.mean(told[-8:]) < np.mean(told[:8]) - 0.1
    assert (run.recent_rows >= 0).all()


def test_a_state_is_gone_on_from_and_the_rate_falls_at_the_end_only(data, tmp_path, monkeypatch):
    run = Run(tmp_path / "first", data, RECIPE, init=None)
    run._one_step()
    run.save()
    assert start_run(tmp_path / "first", data, RECIPE).step == 1
    tower, samples = last_tower(tmp_path / "first")
    assert samples == 8
    (tmp_path / "second" / "nano-2").mkdir(parents=True)
    export_image(
        tower,
        tmp_path / "second" / "nano-2",
        note={"samples": "8"},
        facts=FACTS | {"width": WIDTH},
        querybank=None,
    )
    again = start_run(tmp_path / "second", data, RECIPE)
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(again.average.eval()(x), run.average.eval()(x), atol=0.02, rtol=0.02)
    assert last_tower(tmp_path / "nowhere")[1] == 0
    assert again.samples == last_tower(tmp_path / "second")[1] == 8
    torch.testing.assert_close(
        last_tower(tmp_path / "second")[0](x), run.average.eval()(x), atol=0.02, rtol=0.02
    )
    late = Run(tmp_path / "late", data, Recipe(minutes=1, falls=0.5, batch=8, part=4), init=None)
    rates = []
    for seconds in (0, 29, 45, 60):
        late.seconds = seconds
        rates.append(round(late._cosine(), 2))
    assert rates == [1.0, 1.0, 0.5, 0.0]


def test_photographs_keep_their_sentences_together_and_a_thousand_at_most_are_held(tmp_path, monkeypatch):
    (tmp_path / "captions_more").mkdir()
    with (tmp_path / "captions_more" / "captions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "caption"])
        for i in range(30):
            writer.writerows([[f"images/flickr_{i}.webp", f"dog {i} {n}"] for n in range(5)])
        writer.writerow(["images/food_0.webp", " a  cake "])
        writer.writerow(["images/food_0.webp", "a cake"])
    monkeypatch.setattr("tools.train_nano.inputs.data.HELD_CAPTIONS", 7)
    photos = described(tmp_path)

    assert len(photos) == 31
    flickr = [photo for photo in photos if photo.group == "flickr"]
    assert sum(photo.split == "held" for photo in flickr) == 7
    assert all(len(photo.sentences) == 5 for photo in flickr)
    (food,) = (photo for photo in photos if photo.group == "food")
    assert food.sentences == ("a cake",)
    assert described(tmp_path / "nowhere") == []


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder of weights with nano@1 as it is and an untrained nano@2."""
    home = tmp_path / "weights"
    home.mkdir()
    (home / "nano-1").symlink_to(WEIGHTS_FOLDER / "nano-1")
    monkeypatch.setattr("retrieval.encoders.families.nano.WEIGHTS", home)
    first = load_encoder("nano@1")
    torch.manual_seed(0)
    tower = ImageTower(dim=WIDTH, norm=True).eval()
    (home / "nano-2").mkdir()
    finish_module.save_tensors(quantised(TextStudent(WIDTH - 1)), home / "nano-2" / "text.safetensors")
    numbers = np.random.default_rng(0)
    maps = [numbers.standard_normal((OLD, WIDTH)).astype(np.float32).T for _ in range(2)]  # as they come
    bank = Querybank(torch.randn(5, WIDTH - 1), torch.randn(5), weight=finish_module.POPULARITY)
    back = Back(image=maps[0], text=maps[1], text_offset=np.full(OLD, 0.1, np.float32))
    write(tower, home / "nano-2", bank=bank, back=back, old=first.space, samples=7)
    return SimpleNamespace(first=first, tower=tower, bank=bank, back=back, home=home)


def test_the_newest_version_is_nano_and_looks_as_its_file_says(shipped):
    second = load_encoder("nano")

    assert canonical_spec("nano") == "nano@2"
    assert (second.space.name, second.space.dim, second.space.nesting[-2:]) == ("nano@2", WIDTH, (OLD, WIDTH))
    assert second.extends == (shipped.first.space,)
    x = 2 * torch.rand(4, 3, SIZE, SIZE) - 1
    with torch.inference_mode():
        expected = MultiCrop(shipped.tower, LOOKS, querybank=shipped.bank)(x).numpy()
    found = second.encode_pixels(x.numpy())
    assert (found * expected).sum(1).min() > 0.999
    np.testing.assert_allclose(found[:, -1], expected[:, -1], atol=3e-3)
    assert (second._tower()(x).numpy() * found).sum(1).min() > 0.999
    words = second.encode_text(["a red bus"])
    assert words.shape == (1, WIDTH)
    np.testing.assert_allclose(words[0, -1], 0.5 / 1.25**0.5, rtol=1e-5)


def test_half_in_texts_and_twice_in_photographs_is_the_same_order(shipped):
    rows = torch.randn(50, WIDTH)
    twice = shipped.bank(rows).numpy()
    shipped.bank.weight /= 2
    once = shipped.bank(rows).numpy()
    words = unit(np.random.default_rng(3).standard_normal((6, WIDTH - 1)))
    scores = [
        (np.pad(words, ((0, 0), (0, 1)), constant_values=last) @ (images / np.linalg.norm(images[:, :-1], axis=1)[:, None]).T)
        for last, images in ((1.0, once), (0.5, twice))
    ]  # fmt: skip
    np.testing.assert_allclose(*scores, atol=1e-5)


def test_a_collection_of_nano_1_goes_over_by_the_map_that_comes_with_the_weights(shipped, tmp_path):
    home = fill(tmp_path / "photos", [f"{number:02}.png" for number in range(45)])
    retrieval.build_index(home, encoder="nano@1")
    report = retrieval.upgrade(home, encoder="nano@2", force=True)  # untrained, it finds less

    assert (report.method, report.recorded) == ("built-in", True)
    with retrieval.open(home) as collection:
        assert collection.search("a red bus", k=3)
    assert retrieval.backfill(home).complete
    assert retrieval.build_index(home).encoder == "nano@2"
    with retrieval.open(home) as collection:
        (hit,) = collection.search(home / "07.png", k=1, include_self=True)
        assert (hit.path, hit.score) == ("07.png", pytest.approx(1, abs=2e-3))
    assert retrieval.rollback(home).encoder == "nano@1"


def test_a_state_is_one_small_file_and_laid_out_as_it_was(shipped, tmp_path):
    work, again = tmp_path / "run", tmp_path / "again"
    work.mkdir()
    (work / "nano-2").symlink_to(shipped.home / "nano-2")
    third = np.ones(3, np.float32) / 3
    words = PhotoWords(mean=third, image_map=third, classifiers=[(third, third)], classes=third)
    known = {"a": third}
    alignment = Alignment(
        words=WordSpace(known=known, sentence_mean=third, sentence_map=third), photo_words=words, turn=third,
        photo_mean=third, photo_map=third, sentence_mean=third, sentence_map=third,
    )  # fmt: skip
    taught = TargetMap(alignment=alignment, mean=third, axes=third, joint_mean=third, joint_axes=third)
    np.savez(work / EXTENSION, allow_pickle=False, **packed(Extension(taught=taught, mean=third, axes=third)))
    size = keep(work, tmp_path / "state.zip")
    again.mkdir()
    restore(tmp_path / "state.zip", again, old=shipped.first.space)

    assert size == (tmp_path / "state.zip").stat().st_size < 25e6
    kept = unpacked(np.load(again / EXTENSION), [(third, third)])
    told = kept.taught.alignment
    for rows in (kept.axes, told.photo_words.classes, told.words.known["a"]):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows, 1 / 3, atol=1e-3)
    np.testing.assert_array_equal(told.photo_words.classifiers[0][0], third)
    first, second = (NanoEncoder(folder / "nano-2", threads=1) for folder in (work, again))
    assert first.space == second.space
    x = 2 * np.random.default_rng(0).random((2, 3, SIZE, SIZE), np.float32) - 1
    np.testing.assert_allclose(first.encode_pixels(x), second.encode_pixels(x), atol=1e-3)
    np.testing.assert_array_equal(first.encode_text(["a dog"]), second.encode_text(["a dog"]))


def test_maps_of_images_and_words_are_read_as_they_were_written(shipped):
    second = NanoEncoder(shipped.home / "nano-2")
    image, text = second.maps_back(shipped.first.space)

    np.testing.assert_allclose(image.matrix, shipped.back.image, atol=1e-3)
    np.testing.assert_allclose(text.matrix, shipped.back.text, atol=1e-3)
    assert image.offset is None
    np.testing.assert_allclose(text.offset, 0.1, atol=1e-3)


def alone(nearest=0.68, copies=0.88, captions=0.39):
    return {
        "nearest_mean": nearest, "nearest": {"a": nearest}, "copies": {"flip": copies, "mean": copies}, "names": 0.6, "scene_names": 0.5, "phrases": {sort: {"precision_5": 0.25, "queries": 9, "chance": 0.1} for sort in ("count", "colour", "two things", "type")},
        "spelling": {"typo": {"precision_5": 0.35, "right_word": 0.75, "queries": 8}},
        "captions": {"recall_1": 0.1, "recall_10": captions}, "flickr": {"recall_1": 0.03, "recall_10": 0.2},
        "attacks": {"meme": 0.7, "mean": 0.7}, "retyped": {"right": 0.3, "image_alone": 0.2}, "shared_things": {"shared": 0.5, "chance": 0.2},
        "denied": {"plain": 0.4, "without": 0.5},
        "with_thing": {"precision_5": 0.4, "image_alone": 0.3, "words_alone": 0.2},
        "hubs": {name: {"skew": 2.0, "never": 0.1} for name in ("images", "sentences")},
    }  # fmt: skip


def across(low=0.01):
    return {"crops": {"old_old": 0.7, "new_old": 0.72, "new_new": 0.8, "gain_95": [low, 0.03], "queries": 9}}


def test_only_what_is_better_compatible_and_small_is_shipped(tmp_path):
    (tmp_path / "image.safetensors").write_bytes(bytes(1000))
    old, better = alone(), alone(nearest=0.68 + CLEARLY, captions=0.5)

    assert objections(old, better, across(), tmp_path) == []
    assert (
        objections(old, alone(nearest=0.68 - LOSS + 1e-4, copies=0.9, captions=0.5), across(), tmp_path) == []
    )
    assert len(objections(old, alone(nearest=0.67, copies=0.9, captions=0.5), across(), tmp_path)) == 1
    assert len(objections(old, alone(captions=0.5), across(), tmp_path)) == 1  # one measure is not two
    (refused,) = objections(old, better, across(low=-LOSS - 1e-3), tmp_path)
    assert refused.startswith("crops: new/old 0.720 is not sure to be as good as old/old 0.700")
    with (tmp_path / "text.safetensors").open("wb") as file:
        file.truncate(int(16.5e6))
    assert len(objections(old, better, across(), tmp_path)) == 1
    with (tmp_path / "image.safetensors").open("wb") as file:
        file.truncate(int(15e6))
    assert len(objections(old, better, across(), tmp_path)) == 2


def test_words_that_collections_would_refuse_are_not_shipped(tmp_path):
    shipped = open_nano("2")
    folder = tmp_path / "nano-2"
    shutil.copytree(WEIGHTS / "nano-2", folder)
    assert probes_changed(NanoEncoder(folder, threads=1), shipped) == []
    tensors = {name: np.array(array) for name, array in map_tensors(folder / "text.safetensors").items()}
    numbers = np.random.default_rng(0)
    bias = tensors["second.bias"].astype(np.float32)
    tensors["second.bias"] = (bias + numbers.normal(0, 2 * bias.std(), bias.shape)).astype(np.float16)
    save_tensors(tensors, folder / "text.safetensors")
    record_files(folder)
    (against,) = probes_changed(NanoEncoder(folder, threads=1), shipped)

    assert against.startswith("text: probes get other vectors")
    assert probes_changed(open_nano("1"), shipped) == []  # another space, which has collections of its own


def test_the_card_tells_what_was_measured():
    kept = {"nano@1": {"products": 0.92}, "nano@2": {"products": 0.97}}
    found = table(
        {"nano@1 256": alone(), "nano@2 384": alone(captions=0.5), "nano@2 64": alone()}, across(), kept
    )

    assert "| nano@2 384 | 0.680 | 0.880 | 0.100, 0.500 | 0.030, 0.200 | 0.600 | 0.500 |" in found
    assert "| count (9) | 0.250 | 0.250 | 0.100 |" in found
    assert "| typo (8) | 0.350 | 0.350 | 0.750 |" in found
    assert "| products | 0.920 | 0.970 |" in found
    assert "| meme | 0.700 | 0.700 |" in found
    assert "| photograph and words for a type, first is right | 0.300 | 0.300 |" in found
    assert "| crops | 0.700 | 0.720 | 0.800 | +0.010 to +0.030 |" in found
    text = card(found, alone(captions=0.5), samples=1000, photographs=5, kinds=854)
    assert found in text
    assert "trained further on 1,000 samples" in text
    assert "with a new head" in card(found, alone(), samples=0, photographs=5, kinds=854)


def test_sentences_are_ranked_among_photographs_of_their_collection():
    photos = [
        SimpleNamespace(group=group, sentences=(f"{group} {i}",), label="", caption="", split="held")
        for i, group in enumerate(["captions", "flickr", "captions", "captions"])
    ]
    exam = measure.set_exam(photos)
    gallery = np.eye(4, dtype=np.float32)
    sentences = unit(np.array([[1, 9, 0, 0], [0, 1, 0, 0], [3, 0, 2, 1], [3, 0, 2, 1]]))

    assert exam.said == ["captions 0", "flickr 1", "captions 2", "captions 3"]
    assert measure.sentence_ranks(exam, sentences, gallery, "captions").tolist() == [0, 1, 2]
    assert measure.sentence_ranks(exam, sentences, gallery, "flickr").tolist() == [0]


def test_a_gain_has_an_interval_of_pairs():
    old, new = np.zeros(100, bool), np.zeros(100, bool)
    new[:30] = True
    found = measure.compare(old, new, np.ones(100, bool))

    assert (found["old_old"], found["new_old"], found["new_new"]) == (0.0, 0.3, 1.0)
    assert 0.2 < found["gain_95"][0] < 0.3 < found["gain_95"][1] < 0.4
    assert measure.compare(old, old, old)["gain_95"] == [0.0, 0.0]


def test_a_composed_head_says_what_the_old_one_says_and_tuning_finds_copies():
    numbers = np.random.default_rng(0)
    old = Head(24, 16)
    seen = numbers.standard_normal((120, 2, 24)).astype(np.float32)
    copies = seen + 1.2 * numbers.standard_normal(seen.shape).astype(np.float32)
    with torch.no_grad():
        vectors = unit(old(torch.from_numpy(seen[:, 0])).numpy())
    rest = (seen[:, 0] @ numbers.standard_normal((24, 20))).astype(np.float32)
    both = np.concatenate([vectors, rest], 1)
    axes = np.linalg.qr(numbers.standard_normal((36, 36)))[0].astype(np.float32)
    mean = np.concatenate([np.zeros(16), rest.mean(0)]).astype(np.float32)
    known = Known(
        seen=seen, copies=copies, own=np.arange(120), targets=(both - mean) @ axes, old=vectors, weights=np.full(120, 1 / 120),
        labels=np.full(120, -1), groups=[],
    )  # fmt: skip
    looks = LOOKS
    head = compose(old, known, fit_rest(known, rest, looks, 1.0), axes, mean, share=1.0, weight=1.0)
    back = np.ascontiguousarray(axes[:16].T)

    with torch.no_grad():
        turned = unit(head(torch.from_numpy(seen[:, 0])).numpy() @ back)
    np.testing.assert_allclose(turned, vectors, atol=1e-4)

    def found():
        rows, asked = (placed(head, part, looks) for part in (seen, copies))
        return float(((asked @ rows.T).argmax(1) == np.arange(120)).mean())

    before = found()
    recipe = HeadRecipe(steps=60, rate=1e-2, contrast=1.0, photographs=32, others=64)
    tune(head, known, back, looks, recipe, note=lambda _: None)
    assert found() > before + 0.02


@pytest.mark.parametrize("hidden", [0, 8])
def test_photographs_of_one_label_find_each_other_once_the_head_is_tuned_on_labels(hidden):
    numbers = np.random.default_rng(1)
    labels = np.repeat(np.arange(12), 12)
    middle = numbers.standard_normal((12, 24))
    seen = (
        np.concatenate([middle[labels], 8 * numbers.standard_normal((144, 16))], 1)[:, None]
        .repeat(2, 1)
        .astype(np.float32)
    )
    old = unit(numbers.standard_normal((144, 16)))
    known = Known(
        seen=seen, copies=seen, own=np.arange(144), targets=old, old=old, weights=np.full(144, 1 / 144), labels=labels,
        groups=[np.arange(72), np.arange(72, 144)],
    )  # fmt: skip

    def alike(weight, rate=1e-2):
        torch.manual_seed(0)
        head = Head(40, 16, hidden=hidden)
        recipe = HeadRecipe(steps=80, rate=rate, contrast=0, old=0, alike=weight, photographs=32, others=32)
        before = placed(head, seen, LOOKS)
        tune(head, known, np.eye(16, dtype=np.float32), LOOKS, recipe, note=lambda _: None)
        rows = placed(head, seen, LOOKS)
        if not rate:
            np.testing.assert_allclose(rows, before, atol=1e-4)
        scores = rows @ rows.T
        np.fill_diagonal(scores, -2)
        return (labels[scores.argmax(1)] == labels).mean()

    assert alike(1.0) > alike(0.0) + 0.2
    alike(
        1.0, rate=0
    )  # channels are read as loud as each other while it is tuned, and the head is given back as it was


def test_the_loss_of_labels_counts_rows_that_have_another_of_their_label():
    x = torch.eye(4)[[0, 0, 1, 2]]
    near = same_label_first(x, x, torch.tensor([0, 0, 1, 2]), temperature=0.1)
    far = same_label_first(x, x, torch.tensor([0, 1, 2, 0]), temperature=0.1)

    assert float(near) < 0.01
    assert float(far) > 5
    assert float(same_label_first(x, x, torch.arange(4), temperature=0.1)) == 0


def test_only_collections_with_several_labels_teach_labels():
    photos = [SimpleNamespace(group=group) for group in "aabbc"]

    (found,) = label_groups(photos, np.array([0, 1, 2, 2, -1]))
    assert found.tolist() == [0, 1]
