"""Encoders take images and words as they are."""

import io

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.encoders import encode
from retrieval.errors import CapabilityMissing, EncoderError, ImageError
from retrieval.testing import FakeEncoder
from tests.retrieval.encoders.faulty import Faulty


def picture(colour):
    return Image.new("RGB", (40, 30), colour)


def test_every_form_of_an_image_gives_the_vector_that_its_pixels_have(tmp_path):
    fake, image = FakeEncoder(), picture("red")
    image.save(tmp_path / "red.png")
    data = (tmp_path / "red.png").read_bytes()
    expected = fake.encode_pixels(fake.preprocess(image)[np.newaxis])[0]

    for form in (image, tmp_path / "red.png", data, np.asarray(image)):
        np.testing.assert_allclose(fake(form), expected, atol=1e-6)
        np.testing.assert_allclose(fake.encode(form), expected, atol=1e-6)
    np.testing.assert_allclose(fake(io.BytesIO(data)), expected, atol=1e-6)


def test_one_gives_one_vector_and_many_give_rows_in_order():
    fake = FakeEncoder()
    rows = fake.encode([picture("red"), "blue", picture("green"), "red"])

    assert fake.encode("blue").shape == (64,)
    assert rows.shape == (4, 64)
    np.testing.assert_allclose(rows[1], fake.encode("blue"), atol=1e-6)
    np.testing.assert_allclose(rows[2], fake.encode(picture("green")), atol=1e-6)
    np.testing.assert_allclose(rows[0], rows[3], atol=1e-6)  # the word is the plain image of that colour
    assert fake.encode([]).shape == (0, 64)
    assert fake.encode(np.zeros((3, 5, 5, 3), np.uint8)).shape == (3, 64)


def test_many_are_encoded_in_batches():
    class Counting(FakeEncoder):
        batches = ()

        def encode_pixels(self, batch):
            self.batches += (len(batch),)
            return super().encode_pixels(batch)

    encoder = Counting()
    encode(encoder, [picture("red")] * 40)

    assert encoder.batches == (32, 8)


def test_a_single_text_is_one_text_not_its_letters():
    nano = retrieval.load_encoder("nano")

    assert nano.encode_text("dog").shape == (1, nano.space.dim)
    np.testing.assert_allclose(nano.encode_text("dog"), nano.encode_text(["dog"]))
    np.testing.assert_allclose(nano("dog"), nano.encode_text(["dog"])[0])


def test_what_is_neither_words_nor_an_image_is_said():
    with pytest.raises(EncoderError, match="int is neither words nor an image; give a str"):
        FakeEncoder()(3)
    with pytest.raises(ImageError):
        FakeEncoder()(b"no image")


def test_words_for_an_encoder_without_a_text_tower_are_refused():
    class Deaf(FakeEncoder):
        encode_text = None

    with pytest.raises(CapabilityMissing, match="understands no words"):
        encode(Deaf(), "dog")


def test_rows_are_checked():
    with pytest.raises(EncoderError, match="returned shape"):
        Faulty(lambda rows: rows[:, :4])(picture("red"))
