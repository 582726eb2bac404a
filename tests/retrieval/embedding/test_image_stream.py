"""Embedding: order, failures, copies, bounds, and an end without threads left behind."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from indexes.vectors.space import Space
from retrieval.embedding import image_stream as embedding
from retrieval.embedding.image_stream import Embedded, embed
from retrieval.encoders.devices.batch_size import BatchSize
from retrieval.errors import EncoderError, ImageError
from retrieval.sources.decoding.decoder import content_hash
from tests.retrieval.pictures import png


class MeanColour:
    """An encoder whose vector is the direction of the mean colour."""

    def __init__(
        self,
        *,
        fail_above: int | None = None,
        error: Exception | type[Exception] = MemoryError,
        device: str = "cpu",
    ) -> None:
        self.device = device
        self.space = Space(name="mean", dim=3, fingerprint="mean")
        self.batches: list[int] = []
        self.fail_above, self.error = fail_above, error

    def preprocess(self, image: Image.Image) -> np.ndarray:
        return np.asarray(image.resize((4, 4)), dtype=np.float32)  # (4, 4, 3)

    def encode_pixels(self, batch: np.ndarray) -> np.ndarray:
        self.batches.append(len(batch))
        if self.fail_above is not None and len(batch) > self.fail_above:
            raise self.error
        means = batch.mean(axis=(1, 2))  # (b, 3)
        return means / np.linalg.norm(means, axis=1, keepdims=True)


def colour(number: int) -> bytes:
    return png(Image.new("RGB", (5, 4), (number % 251 + 1, number // 251 + 1, 100)))


def direction(number: int) -> np.ndarray:
    vector = np.array([number % 251 + 1, number // 251 + 1, 100], dtype=np.float32)
    return vector / np.linalg.norm(vector)


def rows(outcomes: Iterator[Embedded[int]]) -> dict[int, np.ndarray]:
    return {
        item: vector
        for outcome in outcomes
        for item, vector in zip(outcome.items, outcome.vectors, strict=True)
    }


def no_decoding_thread() -> bool:
    return not any(
        thread.name.startswith(("retrieval-decode", "retrieval-encode")) for thread in threading.enumerate()
    )


@settings(max_examples=40)
@given(
    kinds=st.lists(st.sampled_from(["new", "new", "new", "broken", "copy", "stored"]), max_size=60),
    batch=st.integers(1, 9),
    threads=st.integers(1, 5),
    device=st.sampled_from(["cpu", "cuda:0"]),
)
def test_every_item_once_in_order_with_its_own_vector(
    kinds: list[str], batch: int, threads: int, device: str
) -> None:
    stored = content_hash(colour(0))

    def open_image(item: int) -> bytes:
        time.sleep(0.0005 * (item * 7 % 3))  # so that threads finish out of order
        if kinds[item] == "broken":
            return b"broken"
        return colour({"new": item + 1, "copy": 700, "stored": 0}[kinds[item]])

    seen = {stored}
    taken: list[int] = []
    copies = 0
    for outcome in embed(
        range(len(kinds)),
        MeanColour(device=device),
        open_image=open_image,
        known=seen.__contains__,
        threads=threads,
        batch=batch,
    ):
        everything = [
            *outcome.items,
            *(item for item, _ in outcome.reused),
            *(item for item, _ in outcome.failed),
        ]
        assert len(everything) <= batch
        taken += sorted(everything)
        for part in (
            outcome.items,
            [item for item, _ in outcome.reused],
            [item for item, _ in outcome.failed],
        ):
            assert part == sorted(part)
        assert outcome.contents == [content_hash(open_image(item)) for item in outcome.items]
        expected = [direction(700 if kinds[item] == "copy" else item + 1) for item in outcome.items]
        assert np.allclose(outcome.vectors, np.reshape(expected, (-1, 3)), atol=1e-6)
        seen.update(outcome.contents)
        assert all(content in seen for _, content in outcome.reused)
        assert {kinds[item] for item, _ in outcome.failed} <= {"broken"}
        copies += sum(kinds[item] == "copy" for item in outcome.items)

    assert taken == list(range(len(kinds)))
    assert copies == min(1, kinds.count("copy"))


def test_failures_carry_their_reason() -> None:
    def open_image(item: int) -> bytes:
        if item == 2:
            raise ImageError("2: is gone", reason="vanished")
        return b"" if item == 1 else colour(item)

    (outcome,) = embed(range(4), MeanColour(), open_image=open_image)

    assert outcome.items == [0, 3]
    assert [(item, error.reason) for item, error in outcome.failed] == [(1, "empty"), (2, "vanished")]


def test_nothing_and_nothing_readable() -> None:
    assert list(embed([], MeanColour(), open_image=colour)) == []

    encoder = MeanColour()
    (outcome,) = embed([1, 2], encoder, open_image=lambda _item: b"no image")
    assert outcome.vectors.shape == (0, 3)
    assert encoder.batches == []


def test_the_decoder_is_told_what_the_encoder_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    decode = embedding.decode
    monkeypatch.setattr(
        embedding, "decode", lambda data, **options: asked.append(options) or decode(data, **options)
    )
    encoder = MeanColour()
    encoder.decode_size = 64

    list(embed([1], encoder, open_image=colour, max_pixels=5000))

    assert asked == [{"decode_size": 64, "max_pixels": 5000}]


def test_what_is_in_flight_is_bounded_however_slow_the_caller() -> None:
    """Not more than three batches are read beyond what has been handed out."""
    opened = itertools.count()
    given_out = 0
    most = 0

    def open_image(item: int) -> bytes:
        nonlocal most
        most = max(most, next(opened) + 1 - given_out)
        return colour(item)

    for outcome in embed(range(200), MeanColour(), open_image=open_image, threads=4, batch=8):
        time.sleep(0.005)
        given_out += len(outcome.items)

    assert given_out == 200
    assert most <= 3 * 8


def test_items_are_read_as_they_are_needed() -> None:
    endless = itertools.count()

    first = next(embed(endless, MeanColour(), open_image=lambda item: colour(item % 5000), batch=4))

    assert first.items == [0, 1, 2, 3]
    assert next(endless) <= 12


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_closing_early_leaves_no_thread(device: str) -> None:
    outcomes = embed(range(100), MeanColour(device=device), open_image=colour, threads=4, batch=4)
    next(outcomes)
    outcomes.close()

    assert no_decoding_thread()


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
@pytest.mark.parametrize("place", ["encoder", "open_image", "preprocess", "items", "caller"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, ZeroDivisionError])
def test_an_exception_anywhere_propagates_and_leaves_no_thread(
    place: str, kind: type[BaseException], device: str
) -> None:
    def fail(*_: object) -> None:
        raise kind

    def items() -> Iterator[int]:
        yield from range(30)
        if place == "items":
            fail()

    encoder = MeanColour(device=device)
    if place == "encoder":
        encoder.encode_pixels = fail
    if place == "preprocess":
        encoder.preprocess = fail
    open_image: Callable[[int], bytes] = fail if place == "open_image" else colour

    def consume() -> None:
        for _ in embed(items(), encoder, open_image=open_image, threads=3, batch=4):
            if place == "caller":
                fail()

    with pytest.raises(kind):
        consume()

    deadline = time.monotonic() + 5
    while not no_decoding_thread() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert no_decoding_thread()


class RuntimeException(Exception):
    """One of ONNX Runtime's: no RuntimeError."""


RuntimeException.__module__ = "onnxruntime.capi.onnxruntime_pybind11_state"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeException("bfc_arena.cc:361: Failed to allocate memory for requested buffer of size 42"),
    ],
)
def test_out_of_memory_halves_the_batch(error: Exception) -> None:
    encoder = MeanColour(fail_above=5, error=error)

    vectors = rows(embed(range(100), encoder, open_image=colour, batch=16))

    assert np.allclose(
        [vectors[item] for item in range(100)], [direction(item) for item in range(100)], atol=1e-6
    )
    assert encoder.batches[:4] == [16, 8, 4, 4]
    assert max(encoder.batches[2:]) == 4


def test_out_of_memory_for_a_single_image_propagates() -> None:
    encoder = MeanColour(fail_above=0)

    with pytest.raises(MemoryError):
        list(embed(range(4), encoder, open_image=colour))
    assert encoder.batches[-1] == 1


def test_another_runtime_error_is_not_taken_for_lack_of_memory() -> None:
    encoder = MeanColour(fail_above=0, error=RuntimeError)

    with pytest.raises(RuntimeError):
        list(embed(range(4), encoder, open_image=colour))
    assert len(encoder.batches) == 1


def test_an_encoder_that_breaks_its_contract_is_named() -> None:
    ragged = MeanColour()
    ragged.preprocess = lambda image: np.zeros((image.width, 3), dtype=np.float32)
    with pytest.raises(EncoderError, match="mean: preprocess returned"):
        list(embed(range(2), ragged, open_image=lambda item: png(Image.new("RGB", (item + 2, 2)))))

    narrow = MeanColour()
    narrow.encode_pixels = lambda batch: np.ones((len(batch), 2), dtype=np.float32)
    with pytest.raises(EncoderError, match=r"mean: encode_pixels returned shape \(2, 2\), expected \(2, 3\)"):
        list(embed(range(2), narrow, open_image=colour))


def test_a_size_grows_while_that_pays() -> None:
    size = BatchSize(8, largest=1024)
    best = 64
    for _ in range(40):
        size.record(size.images, size.images / min(size.images, best) + 0.001 * size.images)

    assert size.images == best


def test_a_size_stops_at_the_largest_and_at_the_memory_limit() -> None:
    size = BatchSize(8, largest=32)
    for _ in range(20):
        size.record(size.images, 1.0)
    assert size.images == 32

    size.limit(100 << 20)
    assert size.images == 2
    size.record(2, 0.001)
    assert size.images == 2
    assert size.shrink()
    assert not size.shrink()


def test_partial_batches_teach_nothing() -> None:
    size = BatchSize(8, largest=1024)
    for _ in range(10):
        size.record(3, 1e-6)

    assert size.images == 8


def test_on_an_accelerator_the_batch_grows() -> None:
    class Fast(MeanColour):
        def encode_pixels(self, batch: np.ndarray) -> np.ndarray:
            time.sleep(0.004)  # whatever the size: larger is better
            return super().encode_pixels(batch)

    encoder = Fast(device="cuda:0")
    list(embed(range(64 * 8 + 128 * 8), encoder, open_image=colour))
    plain = MeanColour()
    list(embed(range(200), plain, open_image=colour))

    assert max(encoder.batches) >= 128
    assert max(plain.batches) == 32


def test_copies_and_broken_files_do_not_keep_the_batch_small() -> None:
    """Nine of ten files are copies: batches that are encoded are never full."""
    size = BatchSize(64, largest=1024)
    for _ in range(40):
        size.record(size.images // 10, 1.0, of=size.images)

    assert size.images == 1024
    size = BatchSize(8, largest=64)
    for _ in range(40):
        size.record(0, 1.0, of=size.images)  # all were: that tells nothing

    assert size.images == 8


def test_an_accelerator_encodes_while_the_caller_stores() -> None:
    encoding, stored = threading.Event(), []

    class Waiting(MeanColour):
        def encode_pixels(self, batch: np.ndarray) -> np.ndarray:
            if len(self.batches) == 1:
                encoding.set()  # the second batch, while the caller still has the first
            return super().encode_pixels(batch)

    for outcome in embed(range(8), Waiting(device="cuda:0"), open_image=colour, batch=4):
        assert encoding.wait(timeout=30)
        stored += outcome.items

    assert stored == list(range(8))


def test_a_copy_of_what_the_caller_does_not_know_yet_is_not_encoded_again() -> None:
    known: set[bytes] = set()
    encoder = MeanColour(device="cuda:0")
    reused = []
    for outcome in embed(
        range(12), encoder, open_image=lambda _: colour(1), known=known.__contains__, batch=4
    ):
        reused += [item for item, _ in outcome.reused]
        known.update(outcome.contents)

    assert encoder.batches == [1]
    assert reused == list(range(1, 12))


class ByBytes(MeanColour):
    """Takes bytes, and normalises them itself."""

    def __init__(self, **options: str) -> None:
        super().__init__(**options)
        self.arrays: list[tuple[int, ...]] = []

    def preprocess_bytes(self, image: Image.Image) -> np.ndarray:
        return np.asarray(image.resize((4, 4)))

    def encode_bytes(self, batch: np.ndarray) -> np.ndarray:
        assert batch.dtype == np.uint8
        return self.encode_pixels(batch.astype(np.float32))

    def bytes_array(self, shape: tuple[int, ...]) -> np.ndarray:
        self.arrays.append(shape)
        return np.empty(shape, np.uint8)


@pytest.mark.parametrize(("device", "arrays"), [("cuda:0", [(4, 4, 4, 3)]), ("cpu", [])])
def test_an_accelerator_gets_bytes_in_memory_of_its_own(device: str, arrays: list[tuple[int, ...]]) -> None:
    encoder = ByBytes(device=device)
    vectors = rows(embed(range(4), encoder, open_image=colour, batch=4))

    np.testing.assert_allclose([vectors[n] for n in range(4)], [direction(n) for n in range(4)], atol=1e-6)
    assert encoder.arrays == arrays


def test_items_may_be_pictures_and_arrays_which_are_no_copies_of_each_other() -> None:
    picture = Image.new("RGB", (5, 4), (3, 1, 100))
    items = [picture, np.asarray(picture), colour(2), colour(2), picture, np.zeros((2, 2)), b""]

    (outcome,) = embed(range(len(items)), MeanColour(), open_image=items.__getitem__)

    assert outcome.items == [0, 1, 2, 4]
    assert outcome.contents == [b"", b"", content_hash(colour(2)), b""]
    assert np.allclose(outcome.vectors, direction(2)[np.newaxis], atol=1e-6)
    assert [item for item, _ in outcome.reused] == [3]
    assert [(item, error.reason) for item, error in outcome.failed] == [(5, "unsupported"), (6, "empty")]
