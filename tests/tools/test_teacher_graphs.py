"""Teachers as ONNX graphs give what their torch networks give."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="teachers are torch networks")
onnx = pytest.importorskip("onnx", reason="graphs need onnx")
lite = pytest.importorskip("efficientnet_lite_pytorch", reason="the second teacher's package")

from tools.train_nano.measure import unit  # noqa: E402
from tools.train_nano.targets.teacher_graphs import efficientnet_graph, quantise, session_of  # noqa: E402

SIDE = 64


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    found = lite.EfficientNet.from_name("efficientnet-lite0").eval()
    for norm in found.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):  # norms that do something
            norm.running_mean.normal_(std=0.1)
            norm.running_var.uniform_(0.5, 1.5)
    return found


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).uniform(-1, 1, (6, 3, SIDE, SIDE)).astype(np.float32)


def test_an_efficientnet_graph_equals_its_network(network, pixels):
    with torch.inference_mode():
        expected = network.extract_features(torch.from_numpy(pixels))
    session = session_of(efficientnet_graph(network, SIDE), threads=1)
    means, maps = session.run(["y", "map"], {"x": pixels})

    np.testing.assert_allclose(maps, expected.numpy(), rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    np.testing.assert_allclose(means, maps.mean((2, 3)), rtol=1e-4, atol=1e-5)


def test_eight_bits_give_nearly_the_same(network, pixels, tmp_path):
    graph = efficientnet_graph(network, SIDE)
    out = tmp_path / "teacher.onnx"
    quantise(graph, [row[None] for row in pixels], out)
    whole = session_of(graph, threads=1).run(["y"], {"x": pixels})[0]
    few = session_of(onnx.load(out), threads=1).run(["y"], {"x": pixels})[0]

    assert (unit(whole) * unit(few)).sum(1).min() > 0.95
    assert np.abs(whole - few).max() > 0
    assert [path.name for path in tmp_path.iterdir()] == ["teacher.onnx"]
