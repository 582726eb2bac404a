"""Several cards share each batch, one process each; what fails there is told here."""

import os
from functools import partial

import numpy as np
import pytest
from PIL import Image

from indexes.engine import backend
from retrieval.embedding import embed
from retrieval.encoders import ByteEncoder, TextEncoder, load_encoder
from retrieval.encoders.devices.several_cards import EncoderOnCards, on_cards
from retrieval.encoders.registry import registry
from retrieval.errors import EncoderError, OptionError
from retrieval.testing import FakeEncoder
from tests.retrieval.pictures import png


class OnCard(FakeEncoder):
    """A fake on a device; it fails as is asked by the first number of a batch."""

    def __init__(self, device):
        super().__init__(dim=16)
        self.device = device

    def encode_pixels(self, batch):
        first = float(batch.flat[0])
        if first == 2000.0:
            raise RuntimeError("CUDA out of memory")
        if first == 3000.0:
            raise ValueError("no such thing")
        if first == 4000.0:
            os._exit(7)
        rows = super().encode_pixels(np.abs(batch) % 1)
        if first == 1000.0:  # where it ran
            rows[:] = 0
            rows[:, int(self.device.partition(":")[2])] = 1
        return rows


class Bytes(OnCard):
    """One that takes bytes."""

    def preprocess_bytes(self, image):
        return np.asarray(image.convert("RGB").resize((8, 8)))

    def encode_bytes(self, batch):
        assert batch.dtype == np.uint8
        return self.encode_pixels(batch.astype(np.float32) / 256)

    def bytes_array(self, shape):
        return np.empty(shape, np.uint8)


def plain(device):
    return OnCard(device)


def by_bytes(device):
    return Bytes(device)


def broken(device):
    if device != "cuda:0" or os.environ.get("IN_PARENT") != str(os.getpid()):
        raise OptionError(f"device {device}: there is none")
    return OnCard(device)


@pytest.fixture(scope="module")
def encoder():
    made = on_cards(plain, ["cuda:0", "cuda:1"])
    yield made
    made.close()


def pixels(count, first=0.5):
    made = np.random.default_rng(0).random((count, 8, 8, 3), dtype=np.float32)
    made[:, 0, 0, 0] = first
    return made


@pytest.mark.parametrize("count", [1, 2, 5, 64])
def test_a_batch_gives_what_one_process_gives(encoder, count):
    np.testing.assert_allclose(
        encoder.encode_pixels(pixels(count)), OnCard("cuda:0").encode_pixels(pixels(count)), atol=1e-6
    )


def test_each_card_gets_its_part(encoder):
    rows = encoder.encode_pixels(pixels(5, first=1000.0))

    assert rows.argmax(axis=1).tolist() in ([0, 0, 1, 1, 1], [0, 0, 0, 1, 1])


def test_a_full_card_asks_for_a_smaller_batch_and_others_go_on(encoder):
    with pytest.raises(MemoryError, match=r"device cuda:\d: .*out of memory"):
        encoder.encode_pixels(pixels(4, first=2000.0))
    with pytest.raises(EncoderError, match=r"device cuda:\d: ValueError: no such thing"):
        encoder.encode_pixels(pixels(4, first=3000.0))

    assert encoder.encode_pixels(pixels(3)).shape == (3, 16)


def test_a_process_that_ends_is_named_and_replaced(encoder):
    with pytest.raises(EncoderError, match=r"the process that encodes there has ended \(exit code 7\)"):
        encoder.encode_pixels(pixels(4, first=4000.0))

    np.testing.assert_allclose(
        encoder.encode_pixels(pixels(4)), OnCard("cuda:0").encode_pixels(pixels(4)), atol=1e-6
    )


def test_words_and_the_space_are_those_of_the_encoder(encoder):
    assert isinstance(encoder, TextEncoder)
    assert not isinstance(encoder, ByteEncoder)
    assert encoder.space == OnCard("cuda:0").space
    assert (encoder.device, encoder.decode_size) == ("cuda:0", 16)
    np.testing.assert_array_equal(encoder.encode_text(["red"]), OnCard("cpu").encode_text(["red"]))
    assert not hasattr(encoder, "torch_module")


def test_bytes_travel_where_the_encoder_takes_them():
    made = on_cards(by_bytes, ["cuda:0", "cuda:1"])
    try:
        images = [Image.new("RGB", (20, 10), (9 * n, 40, 200)) for n in range(12)]
        files = [png(image) for image in images]
        rows = [row for part in embed(range(12), made, open_image=files.__getitem__) for row in part.vectors]
        alone = Bytes("cpu")

        expected = alone.encode_bytes(np.stack([alone.preprocess_bytes(image) for image in images]))
        np.testing.assert_allclose(rows, expected, atol=1e-6)
    finally:
        made.close()


def test_an_encoder_that_cannot_be_opened_there_says_why(monkeypatch):
    monkeypatch.setenv("IN_PARENT", str(os.getpid()))
    made = on_cards(broken, ["cuda:0"])
    try:
        with pytest.raises(EncoderError, match="device cuda:0: OptionError: device cuda:0: there is none"):
            made.encode_pixels(pixels(2))
    finally:
        made.close()


def test_the_device_of_all_cards(monkeypatch):
    opened = []
    monkeypatch.setattr(registry, "require_device", lambda device: device)
    monkeypatch.setattr(registry, "cuda_devices", lambda: 3)
    monkeypatch.setattr(
        "retrieval.encoders.devices.on_cards",
        lambda load, devices: opened.append((load, devices)),
    )
    load_encoder("nano@1", device="cuda:all")

    assert opened == [(opened[0][0], ["cuda:0", "cuda:1", "cuda:2"])]
    assert isinstance(opened[0][0], partial)
    assert opened[0][0]("cpu").space.name == "nano@1"


def test_without_a_card_all_cards_are_refused(monkeypatch):
    monkeypatch.setattr("retrieval.encoders.devices.devices.cuda_devices", lambda: 0)
    with pytest.raises(OptionError, match="device cuda:all: this machine has no CUDA device"):
        load_encoder("nano", device="cuda:all")


def test_faiss_takes_the_first_of_all_cards(monkeypatch):
    monkeypatch.setattr(backend.faiss(), "get_num_gpus", lambda: 2, raising=False)

    assert backend.gpu("cuda:all") == 0
    assert isinstance(EncoderOnCards, type)
