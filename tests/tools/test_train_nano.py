"""Training nano on a handful of synthetic pictures: it resumes, packs and exports what it trained."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("onnx", reason="export needs onnx")
pytest.importorskip("safetensors", reason="export needs safetensors")

from retrieval.encoders.families.nano import NanoEncoder  # noqa: E402
from retrieval.encoders.families.nano_torch import (  # noqa: E402
    MEANING,
    SIZE,
    Head,
    ImageTower,
    MultiCrop,
    Querybank,
    folded_tower,
    hidden_of,
    read_querybank,
    read_state,
    silent_querybank,
)
from tools.train_nano.__main__ import parse_sizes  # noqa: E402
from tools.train_nano.export import averaged_tower, between, export_image, fold  # noqa: E402
from tools.train_nano.inputs.augment import augment, light, mirrored, normalised  # noqa: E402
from tools.train_nano.inputs.data import Photo, decode_all  # noqa: E402
from tools.train_nano.pack import pack, unpack  # noqa: E402
from tools.train_nano.report import MARKS, baseline, quote  # noqa: E402
from tools.train_nano.targets.places import AXES, GRID, PlaceHeads, fit_places  # noqa: E402
from tools.train_nano.targets.views import VIEW_SIDE, make_view  # noqa: E402
from tools.train_nano.tower import head as head_module  # noqa: E402
from tools.train_nano.tower.head import fit_head  # noqa: E402
from tools.train_nano.tower.muon import orthogonalised  # noqa: E402
from tools.train_nano.tower.start import start_from  # noqa: E402
from tools.train_nano.tower.train import Recipe, Run, TrainingSet, make_optimisers  # noqa: E402

RECIPE = Recipe(
    minutes=60, batch=8, part=4, workers=2, bank=16, warm_steps=2, ramp=(-1, 0), sizes=((1.0, 32),)
)


@pytest.fixture(scope="module")
def data():
    numbers = np.random.default_rng(0)
    labels = np.arange(40) % 4
    targets = numbers.standard_normal((4, 256))[labels] + 0.3 * numbers.standard_normal((40, 256))
    smooth = numbers.integers(0, 256, (40, 4, 4, 3), np.uint8).repeat(16, 1).repeat(16, 2)
    return TrainingSet(
        pixels=smooth,
        targets=targets.astype(np.float32),
        views=smooth[::2],
        view_targets=targets[::2].astype(np.float32),
        view_places=numbers.standard_normal((20, AXES, GRID, GRID)).astype(np.float16),
        asked=np.eye(256, dtype=np.float32),
        label_codes=labels,
        train=np.arange(32),
        weights=np.full(32, 1 / 32),
        check={"held": np.arange(32, 40)},
    )


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("run"), data, RECIPE, init=None)
    for _ in range(3):
        run._one_step()
    run.seconds = 12.5
    run.save()
    return run


def test_a_run_goes_on_from_its_checkpoint(trained, data):
    again = Run(trained.folder, data, RECIPE, init=None)

    assert (again.step, again.samples, again.seconds) == (3, 24, 12.5)
    for name, value in trained.student.state_dict().items():
        torch.testing.assert_close(again.student.state_dict()[name], value)
    before = again.student.tower.head.weight.detach().clone()
    again._one_step()
    assert again.step == 4
    assert not torch.equal(before, again.student.tower.head.weight)


def test_settled_stages_keep_what_they_are(data, tmp_path):
    run = Run(tmp_path, data, replace(RECIPE, frozen=2), init=None)
    before = {name: value.clone() for name, value in run.student.tower.state_dict().items()}
    run._one_step()
    moved = {
        name for name, value in run.student.tower.state_dict().items() if not torch.equal(value, before[name])
    }

    assert not any(name.startswith(("stem.", "stages.0.", "stages.1.")) for name in moved)
    assert {
        "stages.2.first.conv.weight",
        "stages.2.first.norm.running_mean",
        "stages.3.second.conv.weight",
        "head.weight",
    } <= moved


def test_training_ends_with_the_schedule_and_says_so(trained, data):
    run = Run(trained.folder, data, replace(RECIPE, minutes=12.5 / 60), init=None)
    run.train()

    assert json.loads((trained.folder / "log.jsonl").read_text().splitlines()[-1])["event"] == "end"


@pytest.mark.parametrize(("texts", "hidden"), [(None, 0), (5, 0), (5, 24)])
def test_exported_weights_compute_what_the_averaged_tower_does(trained, data, tmp_path, texts, hidden):
    tower, facts = averaged_tower(trained.folder / "checkpoint.pt")
    if hidden:
        tower.head = bent(tower.head, hidden)
    bank = None
    if texts:
        numbers = torch.Generator().manual_seed(0)
        bank = Querybank(
            torch.randn(texts, MEANING, generator=numbers), torch.randn(texts, generator=numbers)
        )
    export_image(tower, tmp_path, note={"samples": str(facts["samples"])}, querybank=bank)
    encoder = NanoEncoder(tmp_path, device="cpu", threads=1)
    x = torch.from_numpy(data.pixels[:6]).permute(0, 3, 1, 2).float() / 128 - 1
    x = torch.nn.functional.interpolate(x, size=(SIZE, SIZE))
    with torch.inference_mode():
        expected, folded = MultiCrop(tower, querybank=bank)(x), encoder._tower()(x)
    found = torch.from_numpy(encoder.encode_pixels(x.numpy()))

    assert (found * expected).sum(1).min() >= 0.999
    assert (found * folded).sum(1).min() >= 0.9999
    torch.testing.assert_close(found[:, MEANING], expected[:, MEANING], atol=2e-3, rtol=1e-2)


def bent(head: Head, hidden: int) -> Head:
    """Give the same linear map with hidden units that change what it says."""
    made = Head(head.in_features, head.out_features, hidden=hidden)
    state = made.state_dict() | head.state_dict()
    state["outer.weight"] = torch.randn(head.out_features, hidden, generator=torch.Generator().manual_seed(0))
    made.load_state_dict(state)
    return made


def test_hidden_units_add_nothing_at_first_and_then_learn(trained, data, tmp_path):
    shipped = {
        name: torch.from_numpy(value.astype(np.float32)) for name, value in fold(trained.average).items()
    }
    plain = folded_tower(shipped)
    run = Run(tmp_path, data, replace(RECIPE, hidden=24), init=shipped)
    x = torch.randn(3, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(run.average.eval()(x), plain(x), atol=1e-3, rtol=1e-2)
    inner = run.student.tower.head.inner
    seen = inner(
        plain.means(
            normalised(augment(data.pixels[data.train[:256]], 96, seed=0, device=torch.device("cpu")))
        )
    )
    assert seen.abs().mean() < 3  # no unit is always on or off
    assert (seen > 0).float().mean(0).std() < 0.4
    for _ in range(3):
        run._one_step()

    assert run.student.tower.head.outer.weight.abs().max() > 0
    run.save()
    assert (
        hidden_of(Run(tmp_path, data, replace(RECIPE, hidden=24), init=None).student.tower.state_dict()) == 24
    )


def test_a_silent_bank_finds_nothing_popular_and_a_version_may_have_none(trained, tmp_path):
    rows = torch.randn(3, 256, generator=torch.Generator().manual_seed(0))
    seen = silent_querybank()(rows)
    tower, _ = averaged_tower(trained.folder / "checkpoint.pt")
    export_image(tower, tmp_path, note={}, querybank=None)

    assert not seen[:, MEANING].any()
    torch.testing.assert_close(seen[:, :MEANING], torch.nn.functional.normalize(rows[:, :MEANING], dim=1))
    assert read_querybank(tmp_path / "image.safetensors") is None


def test_between_two_towers_lies_the_mean_of_their_folded_weights(trained, tmp_path):
    tower, facts = averaged_tower(trained.folder / "checkpoint.pt")
    export_image(tower, tmp_path, note={"samples": str(facts["samples"])}, querybank=None)
    shipped = tmp_path / "image.safetensors"
    x = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        between(shipped, tower, share=0.5)(x), tower(x), atol=2e-3, rtol=1e-2
    )  # float16
    before = read_state(shipped)
    with torch.no_grad():
        tower.head.bias += 1

    after = between(shipped, tower, share=0.5).state_dict()
    assert {name for name in before if not torch.allclose(after[name], before[name], atol=1e-3)} == {
        "head.bias"
    }
    torch.testing.assert_close(after["head.bias"], before["head.bias"] + 0.5, atol=2e-3, rtol=1e-3)


def test_a_head_fitted_anew_points_at_the_targets(data, monkeypatch):
    monkeypatch.setattr(head_module, "STRENGTH", 1e-3)  # so few photographs would be pulled to their mean
    torch.manual_seed(0)
    tower = ImageTower().eval()
    x = torch.from_numpy(data.pixels[data.train]).permute(0, 3, 1, 2).float() / 255
    x = torch.nn.functional.interpolate(x, size=(SIZE, SIZE), mode="bicubic", antialias=True).clamp(0, 1)
    aims = torch.nn.functional.normalize(torch.from_numpy(data.targets[data.train]), dim=1)

    def nearness():
        with torch.inference_mode():
            return (MultiCrop(tower)(normalised(x)) * aims).sum(1)

    before = nearness()
    fit_head(tower, data)

    assert before.mean() < 0.2
    assert nearness().min() > 0.8


def test_a_second_sitting_starts_where_the_first_one_ended(trained):
    source, _ = averaged_tower(trained.folder / "checkpoint.pt")
    tower = ImageTower(norm=True)
    start_from(tower, source.state_dict(), torch.zeros(2, 3, 32, 32))
    x = torch.randn(3, 3, 48, 48, generator=torch.Generator().manual_seed(0))

    torch.testing.assert_close(tower.eval()(x), source(x))


def test_a_packed_file_keeps_splits_labels_and_targets(data, tmp_path):
    size = pack(data, tmp_path / "packed.npz", side=64, quality=90)
    back = unpack(tmp_path / "packed.npz")

    assert size == (tmp_path / "packed.npz").stat().st_size
    for name in ("label_codes", "train", "weights"):
        np.testing.assert_array_equal(getattr(back, name), getattr(data, name))
    np.testing.assert_array_equal(back.check["held"], data.check["held"])
    cosine = (back.targets * data.targets).sum(1)
    cosine /= np.linalg.norm(back.targets, axis=1) * np.linalg.norm(data.targets, axis=1)
    assert cosine.min() > 0.999
    assert np.abs(back.pixels.astype(int) - data.pixels).mean() < 12
    assert (len(back.views), len(back.view_targets), len(back.view_places)) == (0, 0, 0)


@pytest.mark.parametrize("alter", [augment, light])
def test_alterations_repeat_with_their_seed(data, alter):
    cpu = torch.device("cpu")
    one, same, other = (alter(data.pixels[:16], 64, seed=s, device=cpu) for s in (3, 3, 4))

    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert 0 <= float(one.min()) <= float(one.max()) <= 1


def test_light_views_are_the_photograph_mirrored_or_not(data):
    seen = light(data.pixels[:6], 64, seed=1, device=torch.device("cpu"))
    plain = torch.from_numpy(data.pixels[:6].copy()).permute(0, 3, 1, 2).float() / 255

    torch.testing.assert_close(seen[4], plain[4].flip(-1))
    torch.testing.assert_close(seen[5], plain[5])


def test_a_run_without_views_of_the_teacher_trains_on_photographs(data, tmp_path):
    bare = replace(
        data, views=data.views[:0], view_targets=data.view_targets[:0], view_places=data.view_places[:0]
    )
    run = Run(tmp_path, bare, RECIPE, init=None)

    assert np.isfinite(run._one_step()["match"])


def test_a_view_is_made_the_same_again_and_never_of_nothing(data):
    one, same, other = (make_view(data.pixels, data.train, data.train, view) for view in (5, 5, 6))

    np.testing.assert_array_equal(one, same)
    assert one.shape == (VIEW_SIDE, VIEW_SIDE, 3)
    assert np.abs(one.astype(int) - other).mean() > 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_orthogonalised_steps_have_singular_values_near_one(dtype):
    matrix = torch.randn(24, 60, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrix, dtype=dtype))

    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
    torch.testing.assert_close(orthogonalised(matrix.T), orthogonalised(matrix).T, atol=1e-4, rtol=1e-3)


def test_a_pasted_view_shows_both_photographs():
    pixels = np.stack([np.full((160, 160, 3), tone, np.uint8) for tone in (20, 220)])
    sources, pool = np.zeros(60, np.int64), np.array([1])
    views = np.stack([make_view(pixels, sources, pool, view) for view in range(60)]).astype(int)
    alone = (views < 120).reshape(60, -1).all(1)
    pasted = (views < 40).any((1, 2, 3)) & (views > 180).any((1, 2, 3))

    assert 15 <= alone.sum() <= 45
    assert 5 <= pasted.sum() <= 25


def test_kept_axes_hold_what_photographs_differ_in():
    numbers = np.random.default_rng(0)
    wide = numbers.standard_normal((AXES, 300)).astype(np.float32)
    features = numbers.standard_normal((600, AXES)).astype(np.float32) @ wide + 5
    places = fit_places(features)
    maps = np.broadcast_to(features[:2, :, None, None], (2, 300, GRID, GRID))
    kept = places.keep(maps).astype(np.float32)

    assert kept.shape == (2, AXES, GRID, GRID)
    back = np.einsum("bapq,fa->bfpq", kept, places.axes) + places.mean[:, None, None]
    np.testing.assert_allclose(back, maps, atol=0.15)


def test_places_seen_right_leave_nothing_unexplained_and_swapped_ones_do():
    heads = PlaceHeads((4, 4, AXES, AXES))
    with torch.no_grad():
        for head in heads.heads:
            head.weight.copy_(torch.eye(AXES)[:, :, None, None])
            head.bias.zero_()
    target = torch.randn(2, AXES, GRID, GRID, generator=torch.Generator().manual_seed(0))
    seen = [torch.nn.functional.adaptive_avg_pool2d(target, side) for side in (6, 3)]

    with torch.inference_mode():
        right, swapped, nothing = (
            float(heads(stages, target))
            for stages in (seen, [stage.flip(-1) for stage in seen], [0 * stage for stage in seen])
        )

    assert right == pytest.approx(0, abs=1e-10)
    assert swapped > 0.5
    assert nothing == pytest.approx(1)


def test_every_other_view_and_what_the_teacher_saw_there_are_mirrored():
    maps = torch.arange(24.0).reshape(2, 2, 2, 3)
    expected = [maps[0].flip(-1).clone(), maps[1].clone()]

    torch.testing.assert_close(list(mirrored(maps)), expected)


def test_every_parameter_has_one_optimiser():
    tower = ImageTower(norm=True)
    held = [
        p
        for o in make_optimisers(tower, rate=1e-3, decay=0.05, bfloat16=False)
        for group in o.param_groups
        for p in group["params"]
    ]

    assert len(held) == len({id(p) for p in held}) == len(list(tower.parameters()))


def test_sizes_are_read_and_refused():
    assert parse_sizes("0.55:96,1:112") == ((0.55, 96), (1.0, 112))
    with pytest.raises(argparse.ArgumentTypeError, match="end at 1"):
        parse_sizes("0.5:96")


def test_the_card_keeps_its_words_around_the_new_table(tmp_path):
    card = tmp_path / "card.md"
    card.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    quote(card, "| new |")

    assert card.read_text() == f"before\n{MARKS[0]}\n\n| new |\n{MARKS[1]}\nafter\n"


def test_the_baseline_tells_colours_apart():
    red, dark_red, blue = baseline([Image.new("RGB", (80, 60), c) for c in ("#e00000", "#d00000", "#0000e0")])

    assert red @ dark_red > red @ blue


def test_photographs_are_decoded_again_for_another_size_only(tmp_path):
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(tmp_path / "a.png")
    photos = [Photo(file="a.png", group="", label="", caption="", split="train")]
    said = []
    shapes = [
        decode_all(tmp_path, photos, tmp_path / "pixels.npy", side=side, note=said.append).shape
        for side in (16, 16, 24)
    ]

    assert shapes == [(1, 16, 16, 3), (1, 16, 16, 3), (1, 24, 24, 3)]
    assert len(said) == 2
