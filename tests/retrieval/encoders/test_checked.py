"""Vectors are checked where they leave an encoder."""

import numpy as np
import pytest
from PIL import Image

from indexes.vectors.space import Space
from retrieval.encoders.checked import checked_pixels, checked_text
from retrieval.errors import CapabilityMissing, EncoderError
from retrieval.testing import FakeEncoder
from tests.retrieval.encoders.faulty import Faulty


def waves(width, height, seed=0):
    """Return a smooth RGB image."""
    x, y = np.meshgrid(np.linspace(0, 4, width), np.linspace(0, 3, height))
    pixels = np.stack([np.sin(x * (1 + seed) + c) + np.cos(y * (2 + c) + seed) for c in range(3)], axis=-1)
    return Image.fromarray(((pixels + 2) * 63).astype(np.uint8))


class TestGate:
    def test_good_rows_pass_unchanged(self):
        fake = FakeEncoder()
        batch = np.stack([fake.preprocess(waves(30, 20))])

        np.testing.assert_array_equal(fake.encode_pixels(batch), checked_pixels(fake, batch))

    def test_an_encoder_of_another_width_than_its_space_is_refused_by_name(self):
        with pytest.raises(
            EncoderError, match=r"encoder fake: encode_pixels returned shape \(1, 4\), expected \(1, 8\)"
        ):
            checked_pixels(Faulty(lambda rows: rows[:, :4]), np.zeros((1, 8, 8, 3), np.float32))

    @pytest.mark.parametrize("value", [np.nan, np.inf, 0])
    def test_vectors_without_direction_are_refused_by_name(self, value):
        with pytest.raises(EncoderError, match=r"encoder fake: encode_pixels: row 0 is (not finite|zero)"):
            checked_pixels(Faulty(lambda rows: rows * value), np.ones((1, 8, 8, 3), np.float32))

    def test_words_for_an_encoder_without_text_are_refused_by_name(self):
        class ImageOnly:
            space = Space(name="eyes", dim=4, fingerprint="x")

            def preprocess(self, image):
                return np.zeros(4, np.float32)

            def encode_pixels(self, batch):
                return np.eye(len(batch), 4, dtype=np.float32)

        with pytest.raises(CapabilityMissing, match="eyes understands no words"):
            checked_text(ImageOnly(), ["x"])

    def test_no_texts_are_no_rows(self):
        assert checked_text(FakeEncoder(), []).shape == (0, 64)
