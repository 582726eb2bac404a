"""Collections by name, new generations while requests run, and older ones for cursors."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from retrieval import build_index
from retrieval.errors import CollectionNotFound, OptionError
from retrieval.server import Catalogue, GenerationGone, Limits, Settings, UnknownCollection, named_collections
from tests.retrieval.folders import fill


def add(photos: Path, name: str, *, seed: int) -> None:
    fill(photos, [name], first=seed)
    build_index(photos)


def followed(photos: Path, steps, **limits):
    """Open a catalogue of one collection, and run steps with it."""

    async def run():
        catalogue = Catalogue({"photos": photos / ".retrieve"}, Settings(limits=Limits(**limits)))
        try:
            return await steps(catalogue)
        finally:
            await catalogue.close()

    return asyncio.run(run())


class TestNames:
    def test_they_are_the_folders_unless_given(self, photos: Path, tmp_path: Path, monkeypatch) -> None:
        shutil.copytree(photos, tmp_path / "other one")

        assert named_collections(
            [str(photos), f"art={tmp_path / 'other one'}", str(tmp_path / "other one")]
        ) == {
            "photos": photos / ".retrieve",
            "art": tmp_path / "other one/.retrieve",
            "other_one": tmp_path / "other one/.retrieve",
        }
        monkeypatch.chdir(photos)
        assert named_collections([]) == {"photos": photos / ".retrieve"}

    def test_two_alike_are_an_error(self, photos: Path, tmp_path: Path) -> None:
        shutil.copytree(photos, tmp_path / "x/photos")

        with pytest.raises(OptionError, match="both be served as 'photos'"):
            named_collections([str(photos), str(tmp_path / "x/photos")])
        with pytest.raises(OptionError, match="both be served as 'a'"):
            named_collections([f"a={photos}", f"a={tmp_path / 'x/photos'}"])

    def test_a_folder_with_an_equals_sign(self, photos: Path, monkeypatch) -> None:
        shutil.copytree(photos, photos.parent / "a=b")
        monkeypatch.chdir(photos.parent)

        assert list(named_collections(["a=b"])) == ["a=b"]

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(CollectionNotFound):
            named_collections([str(tmp_path / "missing")])


class TestGenerations:
    def test_a_new_one_answers_and_the_one_before_stays(self, photos: Path) -> None:
        async def steps(catalogue: Catalogue):
            before = catalogue.newest("photos")
            assert before.collection.encoder is not None  # loaded once
            add(photos, "new.png", seed=50)
            await catalogue.look()
            after = catalogue.newest("photos")
            return (
                len(before.collection),
                len(after.collection),
                catalogue.at("photos", before.version) is before,
                len(before.collection.search("red", k=20)),
                before.collection.encoder is after.collection.encoder,
            )

        assert followed(photos, steps) == (6, 7, True, 6, True)

    def test_only_some_stay_and_one_in_use_is_not_closed(self, photos: Path) -> None:
        async def steps(catalogue: Catalogue):
            first = catalogue.newest()
            with first:
                for number in range(3):
                    add(photos, f"new{number}.png", seed=50 + number)
                    await catalogue.look()
                with pytest.raises(GenerationGone, match="ask again"):
                    catalogue.at("photos", first.version)
                found = len(first.collection.search("red", k=20))
            await catalogue.look()
            return found, len(catalogue.newest().collection)

        assert followed(photos, steps, generations=1) == (6, 9)

    def test_they_stay_for_some_time(self, photos: Path) -> None:
        async def steps(catalogue: Catalogue):
            first = catalogue.newest()
            add(photos, "new.png", seed=50)
            await catalogue.look()
            await catalogue.look()
            with pytest.raises(GenerationGone):
                catalogue.at("photos", first.version)

        followed(photos, steps, generation_seconds=0.0)

    def test_a_collection_that_goes_away_goes_on_answering(self, photos: Path) -> None:
        said: list[str] = []

        async def run() -> int:
            catalogue = Catalogue({"photos": photos / ".retrieve"}, Settings(), on_trouble=said.append)
            (photos / ".retrieve/manifest.json").rename(photos / "elsewhere")
            await catalogue.look()
            await catalogue.look()
            found = len(catalogue.newest().collection.search("red", k=20))
            (photos / "elsewhere").rename(photos / ".retrieve/manifest.json")
            await catalogue.look()
            await catalogue.close()
            return found

        assert asyncio.run(run()) == 6
        assert len(said) == 1

    def test_unknown_names(self, photos: Path) -> None:
        async def steps(catalogue: Catalogue):
            with pytest.raises(UnknownCollection, match="'photos'"):
                catalogue.newest("other")

        followed(photos, steps)


class TestOverHttp:
    def test_a_cursor_goes_on_in_its_generation_until_that_is_gone(self, open_client, photos: Path) -> None:
        import time

        client = open_client(limits=Limits(generations=1))
        asked = {"text": "red", "k": 3}
        first = client.post("/v1/search", json=asked).json()
        whole = {hit["id"] for hit in client.post("/v1/search", json=asked | {"k": 6}).json()["hits"]}

        def publish(number: int) -> None:
            add(photos, f"new{number}.png", seed=60 + number)
            end = time.monotonic() + 20
            while client.get("/v1/collections/photos").json()["images"] != 7 + number:
                assert time.monotonic() < end
                time.sleep(0.1)

        publish(0)
        rest = client.post("/v1/search", json=asked | {"cursor": first["next"]}).json()
        assert {hit["id"] for hit in first["hits"] + rest["hits"]} == whole
        assert (rest["generation"], rest["searched"]) == (first["generation"], 6)

        publish(1)
        gone = client.post("/v1/search", json=asked | {"cursor": first["next"]})
        assert (gone.status_code, gone.json()["type"]) == (410, "urn:retrieve:generation-gone")
