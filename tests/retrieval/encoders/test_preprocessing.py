"""Images are prepared as the reference does, in numpy and in torch."""

import json

import numpy as np
import pytest
from PIL import Image

from retrieval.encoders.preprocessing import (
    Preprocessing,
    cropped,
    differentiable,
    normalised,
    preprocess,
    torch_preprocessing,
)
from retrieval.errors import EncoderError

MEAN, STD = (0.481, 0.458, 0.408), (0.269, 0.261, 0.276)


def waves(width, height, seed=0):
    """Return a smooth RGB image."""
    x, y = np.meshgrid(np.linspace(0, 4, width), np.linspace(0, 3, height))
    pixels = np.stack([np.sin(x * (1 + seed) + c) + np.cos(y * (2 + c) + seed) for c in range(3)], axis=-1)
    return Image.fromarray(((pixels + 2) * 63).astype(np.uint8))


class TestPreprocessing:
    @pytest.mark.parametrize("resize", ["shortest", "longest", "squash"])
    @pytest.mark.parametrize("size", [(300, 200), (200, 301), (37, 64), (64, 64), (5, 3), (1, 1), (640, 20)])
    def test_torch_and_pillow_agree(self, resize, size):
        import torch

        how = Preprocessing(size=(64, 64), mean=MEAN, std=STD, resize=resize, fill=(10, 20, 30))
        image = waves(*size)
        expected = preprocess(image, how)
        pixels = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)[None]
        actual = torch_preprocessing(how)(pixels)[0].numpy()

        assert actual.shape == expected.shape == (3, 64, 64)
        assert np.abs(actual - expected).max() < 0.05  # Pillow rounds to 8 bits: 1/255/0.26 = 0.015, twice

    def test_bytes_are_the_pixels_before_they_are_normalised(self):
        how = Preprocessing(size=(64, 48), mean=MEAN, std=STD, resize="longest", fill=(10, 20, 30))
        pixels = cropped(waves(300, 200), how)

        assert (pixels.shape, pixels.dtype) == ((64, 48, 3), np.uint8)
        np.testing.assert_array_equal(normalised(pixels, how), preprocess(waves(300, 200), how))

    def test_a_description_is_read_back_from_json(self):
        how = Preprocessing(size=(64, 48), scale=(70, 70), mean=MEAN, std=STD, fill=(1, 2, 3))

        assert Preprocessing.from_json(json.loads(json.dumps(how.to_json()))) == how

    @pytest.mark.parametrize("interpolation", ["box", "bilinear", "hamming", "bicubic", "lanczos"])
    @pytest.mark.parametrize("size", [(300, 200), (41, 29), (64, 300)])
    def test_every_filter_is_pillows(self, interpolation, size):
        import torch

        how = Preprocessing(size=(64, 64), mean=MEAN, std=STD, resize="squash", interpolation=interpolation)
        image = waves(*size)
        pixels = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)[None]
        actual = torch_preprocessing(how)(pixels)[0].numpy()

        assert np.abs(actual - preprocess(image, how)).max() < 0.05  # 8 bits, twice

    def test_a_very_long_image_does_not_fill_the_memory(self):
        import torch

        how = Preprocessing(size=(224, 224), mean=MEAN, std=STD)

        assert preprocess(Image.new("RGB", (30000, 1), "red"), how).shape == (3, 224, 224)
        assert torch_preprocessing(how)(torch.zeros(1, 3, 1, 30000)).shape == (1, 3, 224, 224)

    def test_a_module_has_its_two_parts(self):
        import torch

        how = Preprocessing(size=(8, 8), mean=MEAN, std=STD)
        module = differentiable(how, lambda pixels: pixels.mean((2, 3)), torch.nn.Identity())
        images = torch.rand(2, 3, 30, 20, requires_grad=True)
        rows = module(images)
        rows[:, 0].sum().backward()

        assert torch.equal(rows, module.tower(module.preprocess(images)))
        assert torch.allclose(rows.norm(dim=1), torch.ones(2))
        assert bool((images.grad != 0).any())

    @pytest.mark.parametrize(
        "fault", [{"resize": "stretch"}, {"interpolation": "magic"}, {"std": (1.0, 0.0, 1.0)}]
    )
    def test_a_description_that_cannot_be_is_refused(self, fault):
        with pytest.raises(EncoderError, match="preprocessing"):
            Preprocessing(**{"size": (8, 8), "mean": MEAN, "std": STD} | fault)
