"""An encoder is compared with its own vectors of probes, which ride in a batch that it encodes anyway."""

import hashlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from retrieval.encoders import (
    checked_pixels,
    checked_text,
    expect,
    load_encoder,
    note_when_encoding,
    sound_pixels,
)
from retrieval.encoders.probes import PHRASES_ASKED, _packed, made_images, vectors_of_probes
from retrieval.errors import SpaceMismatch, StoreCorrupt, WeightsNotFound
from retrieval.testing import FakeEncoder


class Counting(FakeEncoder):
    """It counts the rows of each batch."""

    def __init__(self, **options):
        super().__init__(**options)
        self.images, self.texts = [], []

    def encode_pixels(self, batch):
        self.images.append(len(batch))
        return super().encode_pixels(batch)

    def encode_text(self, texts):
        self.texts.append(len(texts))
        return super().encode_text(texts)


class Swapped(FakeEncoder):
    """The same fingerprint; blue and red changed places in its preprocessing."""

    def preprocess(self, image):
        return np.ascontiguousarray(super().preprocess(image)[:, :, ::-1])


class Mirrored(FakeEncoder):
    """The same fingerprint; its words moved."""

    def encode_text(self, texts):
        return np.roll(super().encode_text(texts), 3, axis=1)


def pixels(encoder, count=3):
    return np.stack([encoder.preprocess(image) for image in made_images() * count])[:count]


def test_the_made_images_are_the_same_for_ever():
    """A manifest records their vectors; they do not depend on a version of Pillow."""
    found = [hashlib.sha256(np.asarray(image).tobytes()).hexdigest()[:16] for image in made_images()]

    assert [image.size for image in made_images()] == [(192, 144), (128, 176)]
    assert found == ["b0ef8499c3650de8", "b9efbe4d94bbad56"]


def test_the_probes_ride_once_in_the_first_batch_of_each_kind():
    encoder, other = Counting(), FakeEncoder()
    assert expect(encoder, vectors_of_probes(other))

    rows = checked_text(encoder, ["a", "b"])
    assert checked_text(encoder, ["a"]).shape == (1, 64)
    assert (encoder.texts, encoder.images) == ([2 + len(PHRASES_ASKED), 1], [])
    np.testing.assert_array_equal(rows, other.encode_text(["a", "b"]))

    rows = checked_pixels(encoder, pixels(encoder))
    sound_pixels(encoder, pixels(encoder))
    assert encoder.images == [3 + 2, 3]
    np.testing.assert_array_equal(rows, other.encode_pixels(pixels(other)))


def test_one_that_was_asked_is_compared_with_the_next_collection_without_encoding():
    encoder = Counting()
    recorded = vectors_of_probes(encoder)

    assert expect(encoder, recorded)
    checked_pixels(encoder, pixels(encoder))
    checked_text(encoder, ["a"])
    assert (encoder.images, encoder.texts) == ([2, 3], [2, 1])
    with pytest.raises(SpaceMismatch, match="another vector than when this collection was built"):
        expect(encoder, vectors_of_probes(Swapped()))


def test_vectors_are_noted_from_batches_that_are_encoded_anyway():
    encoder = Counting()
    note_when_encoding(encoder)
    sound_pixels(encoder, pixels(encoder))
    checked_text(encoder, ["a"])

    assert vectors_of_probes(encoder) == vectors_of_probes(FakeEncoder())
    assert (encoder.images, encoder.texts) == ([5], [3])


@pytest.mark.parametrize("ask", [checked_pixels, sound_pixels])
def test_a_changed_preprocessing_is_refused_by_each_batch_of_images_and_no_other_batch(ask):
    encoder = Swapped()
    assert expect(encoder, vectors_of_probes(FakeEncoder()))

    checked_text(encoder, ["a"])
    for _ in range(2):
        with pytest.raises(
            SpaceMismatch,
            match=r"gives the (first|second) made image another vector than .*\(cosine -?0\.\d\d, at least 0\.98 is expected\)"
            r".*its weights, preprocessing or runtime have changed; use the encoder that built the collection",
        ):
            ask(encoder, pixels(encoder))


def test_other_words_are_refused_by_words_and_not_by_images():
    encoder = Mirrored()
    assert expect(encoder, vectors_of_probes(FakeEncoder()))

    checked_pixels(encoder, pixels(encoder))
    with pytest.raises(SpaceMismatch, match="gives the words 'a dog on a beach' another vector"):
        checked_text(encoder, ["a"])


def test_an_encoder_that_nothing_can_be_remembered_of_is_asked_at_once():
    class Unhashable(Swapped):
        __hash__ = None

    recorded = vectors_of_probes(FakeEncoder())
    assert vectors_of_probes(Unhashable()).keys() == recorded.keys()
    with pytest.raises(SpaceMismatch):
        expect(Unhashable(), recorded)


def test_where_nothing_is_recorded_there_is_nothing_to_expect():
    encoder = Counting()

    assert not expect(encoder, None)
    assert not expect(encoder, {"edition": 99, "image": []})
    checked_pixels(encoder, pixels(encoder))
    assert encoder.images == [3]


def test_an_encoder_without_words_records_images_and_one_with_words_may_follow_it():
    class Deaf(FakeEncoder):
        encode_text = None

    recorded = vectors_of_probes(Deaf())

    assert recorded.keys() == {"edition", "image"}
    assert expect(FakeEncoder(), recorded)
    assert checked_text(FakeEncoder(), ["a"]).shape == (1, 64)


def test_a_text_tower_that_cannot_be_had_leaves_the_images_to_record():
    class Untold(FakeEncoder):
        def encode_text(self, texts):
            raise WeightsNotFound("no tokenizer here")

    assert vectors_of_probes(Untold()).keys() == {"edition", "image"}


def test_a_row_that_is_no_vector_is_recorded_as_none_and_refused_where_one_was():
    class Black(FakeEncoder):
        def encode_pixels(self, batch):
            rows = super().encode_pixels(batch)
            rows[-1] = np.nan
            return rows

    recorded = vectors_of_probes(Black())
    assert expect(FakeEncoder(), recorded)
    encoder = Black()
    expect(encoder, vectors_of_probes(FakeEncoder()))
    with pytest.raises(SpaceMismatch, match="the second made image"):
        checked_pixels(encoder, pixels(encoder))


@pytest.mark.parametrize("damage", ["AA==", "no base 64", 7])
def test_what_was_recorded_and_cannot_be_read_is_damage(damage):
    encoder = FakeEncoder()
    recorded = vectors_of_probes(encoder) | {"image": [damage, damage]}

    with pytest.raises(StoreCorrupt, match="vectors of probes"):
        expect(encoder, recorded)


@pytest.mark.parametrize("dim", [64, 256, 1024])
def test_a_packed_vector_keeps_its_direction_even_if_one_number_stands_out(dim):
    rows = np.random.default_rng(3).standard_normal((20, dim))
    rows[::2, 0] = 0.5 * np.linalg.norm(rows[::2], axis=1)
    packed = np.stack([_packed(row) for row in rows]).astype(float)
    cosines = (packed * rows).sum(1) / np.linalg.norm(packed, axis=1) / np.linalg.norm(rows, axis=1)

    assert cosines.min() > 0.998  # usually above 0.9995


class TestNano:
    def test_its_torch_form_and_a_lower_precision_are_the_same_encoder(self):
        """The usual cosines: 1.0000 for torch in float32, 0.9999 in bfloat16."""
        import torch

        nano = load_encoder("nano@1", device="cpu")
        recorded = vectors_of_probes(nano)
        module = nano._tower()

        class InTorch:
            space, preprocess, encode_text = (
                nano.space,
                staticmethod(nano.preprocess),
                staticmethod(nano.encode_text),
            )

            def __init__(self, kind):
                self.kind = kind

            def encode_pixels(self, batch):
                with (
                    torch.inference_mode(),
                    torch.autocast("cpu", self.kind, enabled=self.kind != torch.float32),
                ):
                    return module(torch.from_numpy(batch)).float().numpy()

        for kind in (torch.float32, torch.bfloat16):
            encoder = InTorch(kind)
            assert expect(encoder, recorded)
            assert checked_pixels(encoder, pixels(nano)).shape == (3, 256)

    @pytest.mark.parametrize(
        "change",
        [
            lambda image: image.crop((24, 24, image.width - 24, image.height - 24)),
            ImageOps.flip,
            lambda image: ImageOps.grayscale(image).convert("RGB"),
            lambda image: Image.merge("RGB", image.split()[::-1]),
        ],
        ids=["crop", "flip", "grey", "bgr"],
    )
    def test_another_preprocessing_is_found_out(self, change):
        nano = load_encoder("nano@1", device="cpu")
        recorded = vectors_of_probes(nano)

        class Changed:
            space, encode_pixels = nano.space, staticmethod(nano.encode_pixels)

            def preprocess(self, image):
                return nano.preprocess(change(image))

        encoder = Changed()
        expect(encoder, recorded)
        with pytest.raises(SpaceMismatch):
            checked_pixels(encoder, pixels(nano))
