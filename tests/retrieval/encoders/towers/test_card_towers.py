"""Towers on a card: half precision where that is safe, bytes normalised there, compiled where that wins.

The device is the CPU here, which computes in half precision as well, only slowly.
"""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch comes with the extra open-clip")

import torch

from retrieval.encoders import normalised
from retrieval.encoders.towers import CardTowers, card_towers
from tests.retrieval.encoders.towers.models import HOW, IMAGE, TEXT, pixels, tiny, tokens


def towers(**options):
    return CardTowers(tiny, {"image": IMAGE, "text": TEXT}, device="cpu", how=HOW, **options)


def right(inputs, encode="encode_image"):
    with torch.inference_mode():
        rows = getattr(tiny(), encode)(torch.from_numpy(inputs))
        return torch.nn.functional.normalize(rows, dim=-1).numpy()


def cosines(one, other):
    return np.einsum("bd,bd->b", one, other)


@pytest.mark.parametrize("half", [False, True])
def test_both_towers_give_what_torch_gives(half):
    made = towers(half=half)
    rows = made.encode("image", pixels(5))

    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert cosines(rows, right(pixels(5))).min() > 0.999
    assert cosines(made.encode("text", tokens(2, 5)), right(tokens(2, 5), "encode_text")).min() > 0.999
    assert made.half is half


def test_weights_are_halved_on_cuda_only():
    assert CardTowers(tiny, {}, device="cuda:0", how=HOW).half
    assert not CardTowers(tiny, {}, device="mps", how=HOW).half


@pytest.mark.parametrize("half", [False, True])
def test_bytes_are_normalised_as_pixels_are(half):
    given = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    expected = right(np.stack([normalised(image, HOW) for image in given]))

    assert cosines(towers(half=half).encode("image", given), expected).min() > 0.9999


def test_weights_that_half_precision_cannot_hold_stay_whole():
    class Large(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = tiny()
            self.factor = torch.nn.Parameter(torch.tensor(1e6))  # infinite in float16

        def encode_image(self, given):
            return self.inner.encode_image(given) * self.factor

    loaded = []

    def load():
        loaded.append(Large().eval().requires_grad_(requires_grad=False))
        return loaded[-1]

    made = CardTowers(load, {"image": IMAGE}, device="cpu", how=HOW, half=True)

    np.testing.assert_allclose(made.encode("image", pixels(3)), right(pixels(3)), atol=1e-5)
    assert made.half is False
    assert len(loaded) == 2  # the halved weights had lost digits


def test_a_card_out_of_memory_is_emptied_before_a_smaller_batch_is_tried(monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    made = towers()
    made.encode("image", pixels(1))

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(made, "_run", full)
    with pytest.raises(torch.OutOfMemoryError):
        made.encode("image", pixels(2))

    assert emptied == [True]


class Compiling:
    """Stands in for `torch.compile`: counts, and pretends to be so many times as fast."""

    def __init__(self, monkeypatch, *, gain=2.0, fail=None, wrong=False):
        self.runs = 0
        self.fail, self.wrong = fail, wrong
        monkeypatch.setattr(torch, "compile", self)
        monkeypatch.setattr(card_towers, "COMPILE_AFTER", 8)
        seconds = iter([gain, 1.0])
        monkeypatch.setattr(CardTowers, "_seconds", lambda *_: next(seconds))

    def __call__(self, plain, *, dynamic):
        assert dynamic is False
        if self.fail is not None:
            raise self.fail

        def fast(given):
            self.runs += 1
            return -plain(given) if self.wrong else plain(given)

        return fast


def test_a_compiled_tower_is_used_for_its_own_batches_only(monkeypatch):
    compiling = Compiling(monkeypatch)
    made = towers()
    made.encode("image", pixels(4))
    assert made.compiled is None
    made.encode("image", pixels(4))
    assert made.compiled == (4, 3, 8, 8)
    before = compiling.runs

    np.testing.assert_allclose(made.encode("image", pixels(4)), right(pixels(4)), atol=1e-5)
    assert compiling.runs == before + 1
    made.encode("image", pixels(3))
    made.encode("text", tokens(3, 4))
    assert compiling.runs == before + 1


@pytest.mark.parametrize(
    "how",
    [
        {"gain": 1.01},
        {"wrong": True},
        {"fail": RuntimeError("no compiler")},
        {"fail": torch.OutOfMemoryError("full")},
    ],
)
def test_compiling_that_does_not_win_is_tried_once_and_left(monkeypatch, how):
    compiling = Compiling(monkeypatch, **how)
    made = towers()
    for _ in range(4):
        np.testing.assert_allclose(made.encode("image", pixels(4)), right(pixels(4)), atol=1e-5)

    assert made.compiled is None
    assert compiling.runs <= 1


def test_memory_for_bytes_is_pinned_for_cuda(monkeypatch):
    asked = []
    empty = torch.empty

    def recording(shape, *, dtype, pin_memory):
        asked.append(pin_memory)
        return empty(shape, dtype=dtype)

    monkeypatch.setattr(torch, "empty", recording)
    for device in ("cuda:0", "mps"):
        made = CardTowers(tiny, {}, device=device, how=HOW).array((2, 8, 8, 3))
        assert (made.shape, made.dtype) == ((2, 8, 8, 3), np.uint8)

    assert asked == [True, False]
