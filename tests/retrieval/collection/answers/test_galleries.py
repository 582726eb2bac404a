"""Collections, answers and reports show themselves in a notebook."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrieval
from retrieval.collection.answers import Hits
from retrieval.errors import QueryError
from retrieval.testing import FakeEncoder
from tests.retrieval.display.test_notebook import harmless
from tests.retrieval.folders import fill, picture

NAMES = ["a.png", "b/<i>.png", "b/c&d.png", "e.png"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", NAMES)


@pytest.fixture
def report(photos: Path) -> retrieval.BuildReport:
    return retrieval.build_index(photos, encoder=FakeEncoder())


def images(html: str | None) -> int:
    assert html is not None
    return sum(tag == "img" for tag, _ in harmless(html).tags)


def test_each_shows_itself(photos: Path, report: retrieval.BuildReport) -> None:
    with retrieval.open(photos, encoder=FakeEncoder()) as collection:
        hits = collection.search(picture(0), k=3)
        neighbors = collection.search_vectors(collection.vectors([0, 1]), k=3)

        assert images(hits._repr_html_()) == 3
        assert "best 3 of 4" in harmless(hits._repr_html_()).text
        assert images(hits[0]._repr_html_()) == 1
        assert images(collection._repr_html_()) == 4
        assert "4 rows" in harmless(collection._repr_html_()).text
        assert images(neighbors._repr_html_()) == 0
        assert "recall at 10" in harmless(retrieval.evaluate(collection)._repr_html_()).text
    assert "4 images" in harmless(report._repr_html_()).text


def test_hits_show_themselves_after_the_collection_is_closed(photos: Path, report: object) -> None:
    with retrieval.open(photos, encoder=FakeEncoder()) as collection:
        hits = collection.search(picture(0), k=3)
    (photos / "a.png").unlink()
    reader = harmless(hits._repr_html_())

    assert images(hits._repr_html_()) == 2
    assert "a.png" in reader.text
    assert collection._repr_html_() is None


def test_no_hit_and_no_answer_say_so() -> None:
    assert "no image qualifies" in harmless(Hits(query="a cat", searched=9)._repr_html_()).text
    failed = Hits.failed(QueryError("<b>.jpg: no such file"))
    assert "QueryError: <b>.jpg: no such file" in harmless(failed._repr_html_()).text
