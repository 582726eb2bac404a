"""The map of a collection is served where somebody wrote one, and searches any words there."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrieval
from retrieval.errors import OptionError
from retrieval.server import Settings, create_app

pytest.importorskip("openTSNE", reason="the extra map is not installed")

PAGE = "/v1/collections/photos/map"


@pytest.fixture
def page(photos: Path, tmp_path: Path) -> Path:
    path = tmp_path / "map.html"
    retrieval.map_images(photos).write_page(path)
    return path


def test_the_map_is_given_out_with_addresses_of_this_server(open_client, page: Path) -> None:
    client = open_client(maps=(str(page),), prefix="/below")

    answer = client.get(PAGE)

    assert answer.status_code == 200
    assert "connect-src 'self'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert (
        '<meta name="search-url" content="/below/v1/search" data-collection="photos" '
        'data-images="/below/v1/collections/photos/images/">'
    ) in answer.text
    assert answer.text.endswith(page.read_text(encoding="utf-8")[-10_000:])
    assert client.get("/v1/map").text == answer.text


def test_a_collection_names_its_map(open_client, page: Path) -> None:
    assert open_client(maps=(str(page),)).get("/v1/collections/photos").json()["map"] == PAGE


def test_a_collection_without_one_says_so(open_client) -> None:
    client = open_client()

    assert client.get("/v1/collections/photos").json()["map"] is None
    assert client.get(PAGE).status_code == 404


def test_a_map_names_its_collection_where_there_are_several(photos: Path, page: Path, open_client) -> None:
    both = [f"one={photos}", f"two={photos}"]

    with pytest.raises(OptionError, match="say which collection it shows"):
        create_app(both, Settings(maps=(str(page),)))
    with pytest.raises(OptionError, match="both be the map of 'one'"):
        create_app(both, Settings(maps=(f"one={page}", f"one={page}")))
    client = open_client(*both, maps=(f"two={page}",))
    assert client.get("/v1/collections/two/map").status_code == 200
    assert client.get("/v1/collections/one/map").status_code == 404


def test_what_is_no_map_is_refused_at_the_start(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text("<html></html>")

    with pytest.raises(OptionError, match="is no map"):
        create_app([str(photos)], Settings(maps=(str(tmp_path / "other.html"),)))
