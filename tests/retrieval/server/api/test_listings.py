"""Lists of images without a query."""

from __future__ import annotations

import pytest

from tests.retrieval.server.conftest import NAMES

LIST = "/v1/collections/photos/images"


def test_all_are_listed_page_by_page(client) -> None:
    first = client.get(LIST, params={"k": 4}).json()
    second = client.get(LIST, params={"k": 4, "after": first["next"]}).json()
    paths = [one["path"] for one in first["images"] + second["images"]]

    assert [one["id"] for one in first["images"]] == [0, 1, 2, 3]
    assert (len(first["images"]), first["total"], second["next"]) == (4, len(NAMES), None)
    assert sorted(paths) == sorted(NAMES)


def test_each_has_a_picture_and_its_shape(client) -> None:
    found = client.get(LIST, params={"k": 1}).json()["images"][0]

    assert client.get(found["thumbnail"]).headers["Content-Type"] == "image/jpeg"
    assert (found["width"], found["height"]) == (48, 48)


def test_filters_hold(client) -> None:
    below = client.get(LIST, params={"under": "blue"}).json()
    matching = client.get(LIST, params={"glob": "red/*"}).json()
    none = client.get(LIST, params={"where": "width > 1000"}).json()

    assert [one["path"] for one in below["images"]] == ["blue/deep/f.png", "blue/e.png"]
    assert [one["path"] for one in matching["images"]] == ["red/c.png", "red/d.png"]
    assert (none["images"], none["total"], none["next"]) == ([], 0, None)


def test_at_random_each_comes_once(client) -> None:
    found = client.get(LIST, params={"order": "random", "k": 100}).json()

    assert sorted(one["path"] for one in found["images"]) == sorted(NAMES)
    assert found["next"] is None


@pytest.mark.parametrize(
    "asked",
    [{"k": 0}, {"after": "x"}, {"order": "size"}, {"under": "../.."}, {"where": "SELECT"}, {"glop": "*"}],
)
def test_what_cannot_be_is_refused(client, asked) -> None:
    assert client.get(LIST, params=asked).status_code in {400, 422}
