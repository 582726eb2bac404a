"""Exported graphs give what torch gives, for any number of rows and any length."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch comes with the extra open-clip")
pytest.importorskip("onnx", reason="exporting needs onnx")

import onnx
import torch

from retrieval.encoders import Session
from retrieval.encoders.towers.export import INPUT, export
from tests.retrieval.encoders.towers.models import CONTEXT, ImageOnly, TextOnly, pixels, tiny, tokens


def run(path, inputs):
    return Session(str(path), providers=["CPUExecutionProvider"]).run(None, {INPUT: inputs})[0]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_any_number_of_images(tmp_path, count):
    network = tiny()
    export(ImageOnly(network), pixels(4), tmp_path / "image.onnx")
    with torch.inference_mode():
        expected = network.encode_image(torch.from_numpy(pixels(count))).numpy()

    np.testing.assert_allclose(run(tmp_path / "image.onnx", pixels(count)), expected, atol=1e-5)


@pytest.mark.parametrize("length", [2, 5, CONTEXT])
def test_texts_of_any_length(tmp_path, length):
    network = tiny()
    export(TextOnly(network), tokens(3, 4), tmp_path / "text.onnx", lengths=True)
    asked = tokens(length)
    with torch.inference_mode():
        expected = network.encode_text(torch.from_numpy(asked)).numpy()

    np.testing.assert_allclose(run(tmp_path / "text.onnx", asked[:, :length]), expected, atol=1e-5)


def test_attention_is_one_operator_and_the_model_is_left_as_it_was(tmp_path):
    network = tiny()
    export(TextOnly(network), tokens(3, 4), tmp_path / "text.onnx", lengths=True)
    operators = [node.op_type for node in onnx.load(tmp_path / "text.onnx").graph.node]

    assert operators.count("MultiHeadAttention") == 1
    assert operators.count("Softmax") == 0
    assert operators.count("LayerNormalization") == 1
    assert "forward" not in vars(network.attend)


def test_what_cannot_be_exported_raises_and_prints_nothing(tmp_path, capfd):
    class Fails(torch.nn.Module):
        def forward(self, given):
            return torch.linalg.eigvals(given[0, 0]).real

    with pytest.raises(Exception, match="eigvals"):
        export(Fails(), pixels(2), tmp_path / "no.onnx")

    assert capfd.readouterr() == ("", "")
