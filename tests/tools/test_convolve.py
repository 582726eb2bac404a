"""Convolutions as products give what convolutions give, also where gradients go."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from retrieval.encoders.families.nano_torch import ImageTower  # noqa: E402
from tools.train_nano.tower.convolve import WIDE, WIDEST, WideConv, widen  # noqa: E402


@pytest.mark.parametrize("outputs", [WIDE, WIDEST])
@pytest.mark.parametrize(("size", "stride", "side"), [(3, 1, 4), (3, 2, 7), (3, 2, 6), (1, 1, 5)])
def test_a_product_gives_the_convolution_and_both_its_gradients(outputs, size, stride, side):
    torch.manual_seed(0)
    plain = torch.nn.Conv2d(6, outputs, size, stride, size // 2, bias=False, dtype=torch.float64)
    x = torch.randn(3, 6, side, side, dtype=torch.float64).to(memory_format=torch.channels_last)
    expected, told = _passed(plain, x)

    widen(holder := torch.nn.Sequential(plain))
    found, again = _passed(holder[0], x)

    assert isinstance(holder[0], WideConv)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(again, told)


def test_a_tower_with_products_learns_the_same_in_bfloat16():
    torch.manual_seed(0)
    tower = ImageTower((8, 16, WIDE, WIDEST), norm=True)
    x = torch.randn(8, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    names = list(tower.state_dict())
    told = _gradients(tower, x)

    widen(tower)
    again = _gradients(tower, x)

    assert sum(isinstance(module, WideConv) for module in tower.modules()) == 6
    assert list(tower.state_dict()) == names
    assert told.keys() == again.keys()
    for name, gradient in told.items():
        assert again[name].dtype == torch.float32
        cosine = torch.nn.functional.cosine_similarity(gradient.flatten(), again[name].flatten(), dim=0)
        assert float(cosine) > 0.99, name


def test_what_has_a_bias_or_few_outputs_stays_as_it_is():
    holder = torch.nn.Sequential(torch.nn.Conv2d(4, WIDE, 3), torch.nn.Conv2d(WIDE, WIDE - 1, 3, bias=False))

    widen(holder)

    assert {type(module) for module in holder} == {torch.nn.Conv2d}


def _passed(layer, x):
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    out = layer(x)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return out.detach(), torch.autograd.grad((out * weights).sum(), (x, layer.weight))


def _gradients(tower, x):
    tower.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        rows = tower.raw(x)
    (rows.float() * torch.linspace(-1, 1, rows.numel()).view_as(rows)).sum().backward()
    return {
        name: parameter.grad.clone()
        for name, parameter in tower.named_parameters()
        if parameter.grad is not None
    }
