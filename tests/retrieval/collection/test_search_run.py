"""A batch answers as its queries do one by one, each with its own error, and holds no more than a few images."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.collection import search_run
from retrieval.errors import (
    CapabilityMissing,
    ImageError,
    MissingRow,
    OptionError,
    QueryError,
    ShapeError,
    StoreClosed,
    VectorError,
)
from retrieval.testing import FakeEncoder
from tests.retrieval.folders import CountingEncoder, fill, picture
from tests.retrieval.pictures import png

ENCODER = FakeEncoder()
NAMES = [f"{folder}/{number}.png" for folder in "ab" for number in range(12)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fill(tmp_path_factory.mktemp("c") / "photos", NAMES)
    retrieval.build_index(folder, encoder=ENCODER)
    return folder


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures that are not indexed, two of them the same file."""
    names = [f"{number}.png" for number in range(40)]
    folder = fill(tmp_path_factory.mktemp("strangers"), names, first=5)
    (folder / "copy.png").write_bytes((folder / "3.png").read_bytes())
    return [*(folder / name for name in names), folder / "copy.png"]


def same(found: retrieval.Hits, expected: retrieval.Hits) -> bool:
    """Compare two answers; an encoder's last bit may depend on what it encodes together."""
    scores = [[hit.score for hit in hits] for hits in (found, expected)]
    return [hit.id for hit in found] == [hit.id for hit in expected] and bool(np.allclose(*scores, atol=1e-5))


def every_kind(photos: Path, strangers: list[Path]) -> list[object]:
    return [
        "a dog", picture(3), np.asarray(picture(4)), png(picture(5)), io.BytesIO(png(picture(6))), photos / "a/7.png", 3, np.int64(4),
        *strangers, np.ones(64, np.float32), np.eye(64)[:1], retrieval.text("x") + 0.5 * retrieval.image(picture(3)) - retrieval.row(3), "a dog",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"k": 3, "glob": "b/*"},
        {"minus": "cats", "min_score": 0.0},
        {"include_self": True, "k": 24},
        {"ids": [1, 5, "b/0.png"]},
    ],
    ids=repr,
)
def test_a_batch_answers_as_its_queries_do_alone(collection, photos, strangers, options):
    queries = every_kind(photos, strangers)

    found = collection.search(queries, **options)

    assert len(found) == len(queries)
    assert all(isinstance(hits, retrieval.Hits) for hits in found)
    assert all(
        same(hits, collection.search(query, **options)) for hits, query in zip(found, queries, strict=True)
    )


def test_batches_longer_than_what_is_searched_together(collection, photos, strangers, monkeypatch):
    queries = every_kind(photos, strangers)
    expected = collection.search(queries)
    monkeypatch.setattr(search_run, "_TOGETHER", 7)
    monkeypatch.setattr(search_run, "_PLACES", 20)

    found = collection.search(queries)

    assert all(same(*pair) for pair in zip(found, expected, strict=True))


def test_a_matrix_is_a_batch_of_its_rows(collection):
    rows = collection.vectors([3, 1, 4])

    found = collection.search(rows, k=1)

    assert [hits[0].id for hits in found] == [3, 1, 4]
    assert collection.search(rows[:1]) == collection.search(rows[0])
    assert collection.search(rows[:0]) == []
    assert collection.search([]) == []
    assert collection.search(()) == []


def test_one_bad_item_is_its_own_error(collection, photos, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(png(picture(1))[:60])
    text = open(fill(tmp_path, ["t.png"]) / "t.png", encoding="latin-1")  # noqa: SIM115 - closed below
    closed = io.BytesIO(b"x")
    closed.close()
    bad = {
        1: (tmp_path / "missing.jpg", QueryError), 3: (broken, ImageError), 4: ("", QueryError), 6: (np.ones(3), ShapeError),
        7: (np.zeros(64), VectorError), 8: (999, MissingRow), 9: (None, QueryError), 10: ({"a": 1}, QueryError), 11: (["a", "b"], QueryError),
        12: (retrieval.image(tmp_path / "gone.png"), ImageError), 13: (retrieval.text("x") - "x", QueryError), 14: (text, ImageError),
        15: (closed, ImageError), 16: (b"no image", ImageError), 17: (np.ones((2, 2), np.uint8).astype(bool), QueryError),
        18: (10**30, MissingRow),
    }  # fmt: skip
    queries = [bad[number][0] if number in bad else picture(number) for number in range(20)]

    found = collection.search(queries, k=1)
    text.close()
    assert len(found) == len(queries)

    for number, hits in enumerate(found):
        if number in bad:
            assert isinstance(hits.error, bad[number][1]), number
            assert "\n" not in str(hits.error)
            with pytest.raises(bad[number][1]):
                list(hits)
        else:
            assert hits.error is None
            assert hits[0].path == NAMES[number]


def test_what_is_wrong_with_all_is_raised(collection):
    for options in (
        {"k": 0},
        {"ids": ["nope"]},
        {"mask": [True]},
        {"minus": None},
        {"exact": True, "truncate_dim": 5},
    ):
        with pytest.raises((OptionError, MissingRow, ShapeError, QueryError)):
            collection.search(["a", "b"], **options)
    collection.close()
    with pytest.raises(StoreClosed):
        collection.search(["a", "b"])


def test_words_without_a_text_tower_are_one_error_each(tmp_path):
    class Blind(FakeEncoder):
        encode_text = None

    encoder = Blind()
    retrieval.build_index(fill(tmp_path, ["x.png", "y.png"]), encoder=encoder)
    with retrieval.open(tmp_path, encoder=encoder) as opened:
        words, image = opened.search(["words", picture(1)], k=1)

    assert isinstance(words.error, CapabilityMissing)
    assert image[0].path == "y.png"


def test_a_text_without_a_vector_is_one_error(photos, monkeypatch):
    def encode_text(self, texts):
        rows = FakeEncoder.encode_text(ENCODER, texts)
        return np.where(np.array([[text == "bad"] for text in texts]), np.nan, rows)

    monkeypatch.setattr(CountingEncoder, "encode_text", encode_text)
    with retrieval.open(photos, encoder=CountingEncoder()) as opened:
        good, bad, again = opened.search(["good", "bad", "good"])

    assert good == again == retrieval.Hits(good)
    assert isinstance(bad.error, retrieval.RetrievalError)


def test_each_image_is_encoded_once_in_batches(photos, strangers):
    encoder = CountingEncoder()
    with retrieval.open(photos, encoder=encoder) as opened:
        opened.search(picture(98))  # asks the encoder for its probes, too
        encoder.encoded = 0
        one = picture(99)
        found = opened.search([*strangers, *strangers, one, one, photos / "a/3.png"], k=1)

        assert encoder.encoded == len(strangers) - 1 + 1  # the copy is recognised, and so is the indexed file
    assert [hits[0].id for hits in found[: len(strangers)]] == [
        hits[0].id for hits in found[len(strangers) : -3]
    ]


def test_a_large_batch_holds_few_images(photos, monkeypatch, strangers):
    """Decoded pixels wait for the encoder in three batches at most, however many queries there are."""
    held, most, lock = 0, 0, threading.Lock()

    class Slow(FakeEncoder):
        def preprocess(self, image):
            nonlocal held, most
            with lock:
                held += 1
                most = max(most, held)
            return super().preprocess(image)

        def encode_pixels(self, batch):
            nonlocal held
            with lock:
                held -= len(batch)
            return super().encode_pixels(batch)

    with retrieval.open(photos, encoder=Slow()) as opened:
        opened.search(picture(1))
        held = most = 0
        opened.search([picture(number) for number in range(300)], k=1)

    assert 0 < most <= 4 * 32  # three batches, and what the threads are at


def test_no_thread_is_left(collection, strangers):
    collection.search(strangers)

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("retrieval-decode")]


def test_the_old_name_of_a_batch_answers(collection):
    with pytest.warns(DeprecationWarning, match=r"search\(list"):
        assert collection.search_many([3, 4], k=2) == [collection.search(number, k=2) for number in (3, 4)]


@pytest.mark.parametrize("least", ["0.3", float("nan"), True, np.ones(2)])
def test_a_least_score_that_is_no_number_is_refused(collection: retrieval.Collection, least: object) -> None:
    with pytest.raises(OptionError, match=r"min_score is .*; it must be a number"):
        collection.search(0, min_score=least)
