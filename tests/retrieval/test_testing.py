"""The public fake encoder, and the contract test for encoders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.encoders import DifferentiableEncoder, Encoder, TextEncoder
from retrieval.errors import EncoderError, UnknownEncoder
from retrieval.testing import FakeEncoder, check_encoder, check_family
from tests.retrieval.encoders.faulty import Faulty


def waves(width, height, seed=0):
    """Return a smooth RGB image."""
    x, y = np.meshgrid(np.linspace(0, 4, width), np.linspace(0, 3, height))
    pixels = np.stack([np.sin(x * (1 + seed) + c) + np.cos(y * (2 + c) + seed) for c in range(3)], axis=-1)
    return Image.fromarray(((pixels + 2) * 63).astype(np.uint8))


class TestFakeEncoder:
    def test_it_keeps_the_contract(self):
        check_encoder(FakeEncoder(dim=32, nesting=(8, 16)))

    def test_capabilities_are_protocols(self):
        assert isinstance(FakeEncoder(), Encoder)
        assert isinstance(FakeEncoder(), TextEncoder)
        assert not isinstance(FakeEncoder(), DifferentiableEncoder)

    def test_like_images_are_nearer_than_others(self):
        fake = FakeEncoder()
        arrays = [waves(200, 100), waves(100, 50), waves(200, 100, seed=3)]
        vectors = fake.encode_pixels(np.stack([fake.preprocess(image) for image in arrays]))

        assert vectors[0] @ vectors[1] > 0.99
        assert vectors[0] @ vectors[2] < 0.9

    def test_a_colour_word_finds_the_plain_image_of_that_colour(self):
        fake = FakeEncoder()
        images = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue", "yellow")]
        pixels = fake.encode_pixels(np.stack([fake.preprocess(image) for image in images]))

        assert (fake.encode_text(["a red thing", "blue", "yellow"]) @ pixels.T).argmax(axis=1).tolist() == [
            0,
            1,
            2,
        ]

    def test_two_of_one_name_are_one_space_and_another_name_is_another(self):
        assert FakeEncoder(name="a").space.same_as(FakeEncoder(name="a").space)
        assert not FakeEncoder(name="a").space.same_as(FakeEncoder(name="b").space)
        assert not FakeEncoder(dim=8).space.same_as(FakeEncoder(dim=16).space)


def with_nan(rows):
    rows[0, 0] = np.nan
    return rows


class TestContract:
    @pytest.mark.parametrize(
        ("spoil", "word"),
        [
            (lambda rows: rows[:, :4], "must return float32"),
            (lambda rows: rows.astype(np.float64), "must return float32"),
            (lambda rows: rows.tolist(), "got list"),
            (lambda rows: rows[:-1], "must return float32"),
            (lambda rows: rows * 2, "unit rows"),
            (with_nan, "not finite"),
            (lambda rows: np.repeat(rows[:1], len(rows), axis=0), "depends on the batch"),
            (lambda rows: np.tile(np.eye(1, 8, dtype=np.float32), (len(rows), 1)), "the same vector"),
            (lambda rows: np.roll(rows, 1, axis=0), "depends on the batch"),
        ],
    )
    def test_a_fault_of_encode_pixels_is_named(self, spoil, word):
        with pytest.raises(EncoderError, match=word):
            check_encoder(Faulty(spoil))

    def test_a_preprocess_of_changing_shape_is_named(self):
        class Growing(FakeEncoder):
            def preprocess(self, image):
                return np.zeros((image.height, 3), np.float32)

        with pytest.raises(EncoderError, match="arrays of one shape"):
            check_encoder(Growing())

    def test_a_preprocess_that_draws_on_its_image_is_named(self):
        class Scribbler(FakeEncoder):
            def preprocess(self, image):
                array = super().preprocess(image)
                image.putpixel((0, 0), (1, 2, 3))
                return array

        with pytest.raises(EncoderError, match="changed the image"):
            check_encoder(Scribbler())

    def test_a_text_tower_that_ignores_words_is_named(self):
        class Deaf(FakeEncoder):
            def encode_text(self, texts):
                return super().encode_text(["x"] * len(texts))

        with pytest.raises(EncoderError, match="different texts get the same"):
            check_encoder(Deaf())

    def test_a_module_that_is_not_the_encoder_is_named(self):
        import torch

        class Other(FakeEncoder):
            def torch_module(self):
                class Mean(torch.nn.Module):
                    def forward(self, images):
                        return torch.nn.functional.normalize(images.flatten(1)[:, :64] + 0.1, dim=1)

                return Mean().eval()

        with pytest.raises(EncoderError, match=r"agree to -?0\.\d+ only"):
            check_encoder(Other())

    def test_what_is_no_encoder_is_named(self):
        with pytest.raises(EncoderError, match="int has no space"):
            check_encoder(3)


FIXTURES = Path(__file__).parents[1] / "fixtures"


class TestFamilyContract:
    @pytest.fixture(autouse=True)
    def _loaders(self, monkeypatch):
        monkeypatch.syspath_prepend(FIXTURES / "loaders")

    @pytest.mark.parametrize(
        ("scheme", "specs"),
        [("colours", None), ("versions", None), ("patches", ["patches", "patches:large"])],
    )
    def test_a_loader_alone_keeps_it(self, scheme, specs):
        check_family(scheme, specs=specs)

    def test_a_fingerprint_that_another_process_does_not_have_is_named(self):
        with pytest.raises(
            EncoderError, match=r"here and .* in a new process; make it with retrieval.fingerprint"
        ):
            check_family("hashed")

    def test_a_module_that_loads_a_runtime_at_once_is_named(self, monkeypatch):
        monkeypatch.syspath_prepend(FIXTURES / "heavy")

        with pytest.raises(EncoderError, match="heavy: its module imports torch before an encoder is loaded"):
            check_family("heavy")

    def test_a_family_that_needs_a_model_asks_for_specs(self):
        with pytest.raises(EncoderError, match=r"no spec to load is listed; give some, specs=\['tiles:…'\]"):
            check_family("tiles")

    def test_what_is_not_there_is_said_as_load_encoder_says_it(self):
        with pytest.raises(UnknownEncoder, match="did you mean 'colours'"):
            check_family("colour")
        with pytest.raises(EncoderError, match=r"number: listed as not available: .*has no loader"):
            check_family("number")

    def test_a_scheme_of_two_distributions_names_both(self, monkeypatch):
        monkeypatch.syspath_prepend(FIXTURES / "plugin")
        monkeypatch.syspath_prepend(FIXTURES / "rival")

        with pytest.raises(EncoderError, match="'retrieve-rival' and 'retrieve-stripes'"):
            check_family("stripes")
