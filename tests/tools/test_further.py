"""Training the shipped nano@2 further: harder copies, labels and sentences beside its own vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="export needs onnx")

from retrieval.encoders.families.nano_torch import ImageTower, read_state  # noqa: E402
from tests.tools.training_sets import without_views  # noqa: E402
from tools.train_nano.inputs.augment import augment, random_affine, random_hue  # noqa: E402
from tools.train_nano.inputs.data import Photo  # noqa: E402
from tools.train_nano.measure import unit  # noqa: E402
from tools.train_nano.tower.check import check_neighbours  # noqa: E402
from tools.train_nano.tower.train import Recipe, Run, Said, alike_first  # noqa: E402
from tools.train_oca.further import (  # noqa: E402
    OF_LABEL,
    SHIPPED,
    Looked,
    _means,
    digest_of,
    mixed,
    read_tower,
    set_training,
    spoken_or_labelled,
)

WIDTH = 32
CPU = torch.device("cpu")


def test_hues_turn_and_grey_stays() -> None:
    g = torch.Generator().manual_seed(0)
    grey = torch.full((8, 3, 2, 2), 0.5)
    torch.testing.assert_close(random_hue(grey, g, share=1.0), grey, atol=0.01, rtol=0)
    red = torch.tensor([0.6, 0.4, 0.4]).view(1, 3, 1, 1).repeat(8, 1, 2, 2)
    turned = random_hue(red, g, share=1.0)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    torch.testing.assert_close((turned * weights).sum(1), (red * weights).sum(1), atol=0.01, rtol=0)
    assert (turned - red).abs().amax((1, 2, 3)).max() > 0.05
    torch.testing.assert_close(random_hue(red, g, share=0.0), red, atol=0.01, rtol=0)


def test_harder_copies_have_bars_and_small_crops() -> None:
    pictures = torch.zeros(400, 3, 64, 64)
    pictures[:, :, 14:50, 14:50] = 1  # a small crop of the middle shows nothing else
    usual, harder = (
        random_affine(pictures, 32, torch.Generator().manual_seed(3), harder=more) for more in (False, True)
    )

    within = [(x.amin((1, 2, 3)) > 0.9).float().mean() for x in (usual, harder)]
    assert within[1] > within[0] + 0.05
    whole = torch.ones(400, 3, 64, 64)
    usual, harder = (
        random_affine(whole, 32, torch.Generator().manual_seed(3), harder=more) for more in (False, True)
    )
    barred = [
        ((x[:, 0, [0, -1], 16].amin(1) < 0.9) & (x[:, 0, 16, [0, -1]].amin(1) > 0.9)).float().mean()
        for x in (usual, harder)
    ]
    assert barred[1] > barred[0] + 0.05


def test_more_harder_copies_are_turned_by_a_quarter() -> None:
    halves = torch.zeros(600, 3, 32, 32)
    halves[:, :, :16] = 1  # bright above, dark below

    def quartered(x: torch.Tensor) -> float:
        across = (x[:, :, :, :12].mean((1, 2, 3)) - x[:, :, :, 20:].mean((1, 2, 3))).abs()
        along = (x[:, :, :12].mean((1, 2, 3)) - x[:, :, 20:].mean((1, 2, 3))).abs()
        return float((across > along + 0.2).float().mean())

    usual, harder = (
        quartered(random_affine(halves, 32, torch.Generator().manual_seed(4), harder=more))
        for more in (False, True)
    )
    assert 0.08 < usual < 0.2  # two of three quarters lie across
    assert harder > usual + 0.05


def test_a_part_of_the_training_photographs_is_left_out_and_checked(tmp_path) -> None:
    numbers = np.random.default_rng(0)
    photos = [
        Photo(
            file=f"{i}",
            group="animals",
            label="ab"[i % 2],
            caption=f"A dog {i}.",
            split="train" if i % 4 else "held",
        )
        for i in range(200)
    ]
    seen = unit(numbers.standard_normal((200, 384)))
    known = Looked(
        photos=photos,
        pixels=np.zeros((200, 2, 2, 3), np.uint8),
        seen=seen,
        old=unit(numbers.standard_normal((200, 256))),
        train=np.flatnonzero([photo.split == "train" for photo in photos]),
    )
    told = unit(numbers.standard_normal((200, 383)))
    data = set_training(known, SHIPPED / "text.safetensors", told)

    checked = data.check["animals"]
    assert 0 < len(checked) < 30
    assert not set(checked) & set(data.train)
    assert all(photos[i].split == "train" for i in [*checked, *data.train])
    assert len(checked) + len(data.train) == 150
    assert data.weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(unit(data.targets[:, :-1]), told, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(data.targets, axis=1), 1, atol=1e-5)


def test_looking_goes_on_where_it_stopped(tmp_path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 160, 160, 3), np.uint8)
    rows = np.array([0, 2, 3, 5, 6])
    tower, out = ImageTower().eval(), tmp_path / "means.npy"
    seen: list[str] = []

    def stop(note: str) -> None:
        seen.append(note)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _means(tower, pixels, rows, out, part=2, note=stop)
    found = _means(tower, pixels, rows, out, part=2, note=seen.append)

    assert [note.split()[2] for note in seen] == ["2", "4", "5"]
    whole = _means(tower, pixels, np.arange(7), tmp_path / "whole.npy", part=2, note=seen.append)
    np.testing.assert_allclose(found, whole[rows], atol=1e-2, rtol=1e-2)  # bfloat16
    np.testing.assert_array_equal(_means(tower, pixels, rows[:0], out, note=seen.append), found)


def test_few_photographs_are_those_with_sentences_and_some_of_each_label() -> None:
    photos = [
        Photo(file=f"{i}", group="animals", label="ab"[i % 20 == 0], caption="", split="train" if i % 10 else "held")
        for i in range(300)
    ] + [Photo(file=f"said {i}", group="flickr", label="", caption="A dog.", split="train") for i in range(80)]  # fmt: skip
    found = spoken_or_labelled(photos)

    assert len(found) == OF_LABEL + 80
    assert all(photos[i].split == "train" for i in found)
    assert set(range(300, 380)) <= set(found)


def test_a_digest_tells_towers_apart_by_what_they_see() -> None:
    first, second = read_tower(SHIPPED), read_tower(SHIPPED)
    assert digest_of(first) == digest_of(second)
    with torch.no_grad():
        second.head.bias[0] += 1
    assert digest_of(first) != digest_of(second)
    assert digest_of(first, head=False) == digest_of(second, head=False)


def test_a_group_in_which_targets_find_nothing_is_left_out_of_checks() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    targets = np.repeat(np.eye(3, 8, dtype=np.float32), 2, 0)
    labels = np.array([0, 0, 1, 1, 2, 3])
    groups = {"alike": np.arange(4), "apart": np.array([4, 5])}
    found = check_neighbours(ImageTower().eval(), pixels, targets, labels, groups, device=CPU)

    assert set(found) == {"alike", "relative_256", "relative_64"}
    assert found["relative_256"] == found["alike"]


def test_the_same_seed_makes_the_same_harder_copies() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), np.uint8)
    found = augment(pixels, 32, seed=3, device=CPU, harder=True)

    assert found.shape == (16, 3, 32, 32)
    assert 0 <= found.min() <= found.max() <= 1
    torch.testing.assert_close(found, augment(pixels, 32, seed=3, device=CPU, harder=True))
    assert (found - augment(pixels, 32, seed=3, device=CPU)).abs().max() > 0.1


def test_rows_of_one_label_are_told_from_others_among_their_collection() -> None:
    x, bank = (torch.from_numpy(unit(np.random.default_rng(i).standard_normal((4, 6)))) for i in (0, 1))
    marked = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]).bool()
    among = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 1, 1]]).bool()
    powers = torch.exp(x @ bank.T / 0.5)
    rows = [0, 1, 3]
    expected = -torch.log((powers * marked).sum(1) / (powers * among).sum(1))[rows].mean()

    found = alike_first(x, bank, marked=marked, among=among, temperature=0.5)

    torch.testing.assert_close(found, expected)
    assert alike_first(x, bank, marked=marked & False, among=among, temperature=0.5) == 0


@pytest.fixture(scope="module")
def said() -> Said:
    return Said.of(32, np.array([1, 1, 3, 5]), np.arange(4, dtype=np.float32)[:, None].repeat(WIDTH, 1))


def test_each_photograph_is_said_by_one_of_its_own_sentences(said: Said) -> None:
    drawn = set()
    for seed in range(20):
        own, rows = said.draw(np.array([0, 5, 1, 2]), seed)
        assert own.tolist() == [1, 2]
        assert rows[0, 0] == 3
        drawn.add(float(rows[1, 0]))
    assert drawn == {0.0, 1.0}
    assert len(said.draw(np.array([0, 2]), 0)[0]) == 0


def test_labels_neighbours_and_sentences_are_learnt(tmp_path) -> None:
    numbers = np.random.default_rng(0)
    targets = numbers.standard_normal((40, WIDTH)).astype(np.float32)
    sentences = unit(numbers.standard_normal((32, WIDTH)))
    data = without_views(
        targets,
        side=10,
        numbers=numbers,
        groups=np.zeros(40, np.int64),
        said=Said.of(40, np.arange(32), sentences),
    )
    recipe = Recipe(
        minutes=60, batch=32, part=32, workers=1, bank=32, warm_steps=2, ramp=(-1, 0), sizes=((1.0, 32),), hard=0.25, contrast=0.0,
        asked=0.0, alike=0.5, near=0.5, said=0.5, middle=0.2, harder=True, rate=4e-3,
    )  # fmt: skip
    run = Run(tmp_path / "run", data, recipe, init=None)
    told = [run._one_step() for _ in range(16)]

    for loss in ("alike", "near", "said"):
        found = [losses[loss] for losses in told]
        assert np.mean(found[-4:]) < np.mean(found[2:6])
    quiet = Run(
        tmp_path / "quiet", data, replace(recipe, alike=0.0, near=0.0, said=0.0), init=None
    )._one_step()
    assert quiet["alike"] == quiet["near"] == quiet["said"] == 0


def test_a_mixture_of_towers_begins_at_the_shipped_one() -> None:
    shipped = read_state(SHIPPED / "image.safetensors")
    other = ImageTower(dim=len(shipped["head.bias"]))
    torch.testing.assert_close(mixed(other, 0.0).state_dict()["head.bias"], shipped["head.bias"])
    half = mixed(other, 0.5).state_dict()["head.bias"]
    torch.testing.assert_close(half, (shipped["head.bias"] + other.head.bias.detach()) / 2, atol=1e-3, rtol=0)


def test_hidden_units_that_the_shipped_tower_lacks_count_by_their_share(monkeypatch) -> None:
    torch.manual_seed(0)
    plain, other = ImageTower(dim=8).eval(), ImageTower(dim=8, hidden=6).eval()
    with torch.no_grad():
        other.load_state_dict(other.state_dict() | plain.state_dict())
        other.head.outer.weight.normal_()
    monkeypatch.setattr("tools.train_nano.export.read_state", lambda _: dict(plain.state_dict()))
    x = torch.randn(2, 3, 48, 48)

    torch.testing.assert_close(mixed(other, 0.0).raw(x), plain.raw(x), atol=2e-3, rtol=1e-2)
    half = (plain.raw(x) + other.raw(x)) / 2
    torch.testing.assert_close(mixed(other, 0.5).raw(x), half, atol=2e-3, rtol=1e-2)
