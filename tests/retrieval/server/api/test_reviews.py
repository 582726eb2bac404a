"""Duplicates are shown for a review where the server lets people, and what they decide is kept in the collection."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import retrieval
from retrieval.curation.duplicates import DECISIONS, review_policy
from retrieval.server.api import Refused
from retrieval.server.api.collections import reviews

TOKEN = "a token of 24 letters".replace(" ", "-")
PAGE = "/v1/collections/photos/duplicates"


@pytest.fixture
def photos(photos: Path) -> Path:
    shutil.copy(photos / "red/c.png", photos / "red/the same.png")
    retrieval.build_index(photos, encoder="fake")
    return photos


@pytest.fixture
def client(open_client, photos: Path):
    return open_client(photos, review=True)


def decided(photos: Path, word: str = "different", second: str = "red/the same.png") -> dict:
    with retrieval.open(photos) as collection:
        found = next(iter(retrieval.duplicates(collection, kinds=("bytes",))))
    judged = [{"path": path, "content": found.stays.content} for path in ("red/c.png", second)]
    return {"format": 1, "decisions": [{"first": judged[0], "second": judged[1], "decision": word}]}


class TestPage:
    def test_has_the_servers_pictures_and_its_own_script(self, client) -> None:
        answer = client.get(PAGE)

        assert answer.status_code == 200
        assert answer.headers["content-security-policy"].startswith(review_policy(pictures=True, post=True))
        assert f'content="{PAGE}/decisions"' in answer.text
        assert "Same bytes" in answer.text
        pictures = [part.partition('"')[0] for part in answer.text.split('<img src="')[1:]]
        assert len(pictures) == 2
        shown = client.get(pictures[0].replace("&amp;", "&"))
        assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")

    def test_is_named_by_the_collection(self, client, open_client) -> None:
        assert client.get("/v1/collections/photos").json()["duplicates"] == PAGE
        assert open_client().get("/v1/collections/photos").json()["duplicates"] is None

    def test_is_not_there_unless_the_server_says_so(self, open_client, photos: Path) -> None:
        client = open_client()

        assert client.get(PAGE).status_code == 403
        assert client.post(f"{PAGE}/decisions", json=decided(photos)).status_code == 403
        assert not (photos / ".retrieve" / DECISIONS).exists()


class TestSearches:
    def test_requests_wait_for_one_search_and_are_told_when_it_takes_long(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def go() -> list[object]:
            begun, ready = [], asyncio.Event()

            async def find(_: reviews.Searches, served: object) -> str:
                begun.append(served)
                await ready.wait()
                return "found"

            monkeypatch.setattr(reviews.Searches, "_find", find)
            monkeypatch.setattr(reviews, "_PATIENCE", 0.01)
            searches, served = reviews.Searches(), SimpleNamespace(name="photos", version=(1, 1))
            refused = await asyncio.gather(
                *(searches.found(served) for _ in range(3)), return_exceptions=True
            )
            ready.set()
            return [*refused, len(begun), await searches.found(served)]

        *refused, begun, found = asyncio.run(go())

        assert [(type(one), one.status, one.headers) for one in refused] == [
            (Refused, 503, {"Retry-After": "10"})
        ] * 3
        assert (begun, found) == (1, "found")

    def test_what_nobody_waited_for_is_given_unless_somebody_decided_or_built(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def go() -> list[object]:
            begun: list[int] = []

            async def find(_: reviews.Searches, served: object) -> int:
                begun.append(0)
                await asyncio.sleep(0.01)
                return len(begun)

            async def left(served: object) -> None:
                with pytest.raises(Refused):
                    await searches.found(served)
                await asyncio.gather(*(task for _, task in searches._running.values()))

            monkeypatch.setattr(reviews.Searches, "_find", find)
            monkeypatch.setattr(reviews, "_PATIENCE", 0.0)
            searches = reviews.Searches()
            first, second = (SimpleNamespace(name="photos", version=(1, number)) for number in (1, 2))
            answers = []
            for served, decided in ((first, False), (first, True), (second, False)):
                await left(first)
                if decided:
                    searches.decided("photos")
                monkeypatch.setattr(reviews, "_PATIENCE", 30.0)
                answers.append(await searches.found(served))
                monkeypatch.setattr(reviews, "_PATIENCE", 0.0)
            return answers

        assert asyncio.run(go()) == [1, 3, 5]


class TestDecisions:
    def test_are_kept_and_followed(self, client, photos: Path) -> None:
        assert client.post(f"{PAGE}/decisions", json=decided(photos)).json() == {"kept": 1}

        kept = json.loads((photos / ".retrieve" / DECISIONS).read_text())
        assert [one["decision"] for one in kept["decisions"]] == ["different"]
        assert len(retrieval.duplicates(photos)) == 0
        assert "There are none." in client.get(PAGE).text

    def test_come_from_this_servers_pages_and_programs_only(self, open_client, photos: Path) -> None:
        client = open_client(photos, review=True, cors=("https://example.org",))
        asked = decided(photos)

        for origin, status in (
            ("https://example.org", 403),
            ("https://elsewhere.org", 403),
            ("null", 403),
            ("http://localhost", 200),
        ):
            answer = client.post(f"{PAGE}/decisions", json=asked, headers={"Origin": origin})
            assert (origin, answer.status_code) == (origin, status)
        assert client.post("/v1/duplicates/decisions", json=asked).status_code == 200

    def test_about_other_images_are_refused(self, client, photos: Path) -> None:
        answer = client.post(f"{PAGE}/decisions", json=decided(photos, second="../secret.png"))

        assert (answer.status_code, "../secret.png" in answer.json()["detail"]) == (404, True)
        assert not (photos / ".retrieve" / DECISIONS).exists()

    @pytest.mark.parametrize("body", [{}, {"format": 2, "decisions": []}, {"format": 1, "decisions": [{}]}])
    def test_that_are_none_are_refused(self, client, body: dict) -> None:
        assert client.post(f"{PAGE}/decisions", json=body).status_code == 400

    def test_need_the_token(self, open_client, photos: Path) -> None:
        client = open_client(photos, review=True, token=TOKEN)

        assert client.post(f"{PAGE}/decisions", json=decided(photos)).status_code == 401
