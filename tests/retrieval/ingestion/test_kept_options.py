"""What is left out of a folder is remembered, and changed only by saying it anew."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrieval
from indexes.generation.manifest import read_manifest
from retrieval.errors import PruneRefused
from tests.retrieval.folders import CountingEncoder, fill
from tests.retrieval.ingestion.galleries import build, paths


def options(photos: Path) -> dict[str, object]:
    (source,) = read_manifest(photos / ".retrieve").sources
    return dict(source.options)


def test_exclusions_are_kept_until_they_are_given_anew(photos: Path, encoder: CountingEncoder) -> None:
    assert build(photos, encoder, exclude=["b"]).images == 6
    assert options(photos) == {"exclude": ["b"]}

    assert build(photos, encoder).images == 6
    fill(photos, ["b/new.png", "a/new.png"], first=40)
    assert build(photos, encoder).images == 7
    assert build(photos, encoder, exclude=["0.png"]).images == 12
    assert build(photos, encoder).images == 12
    assert build(photos, encoder, exclude=[]).images == 14
    assert options(photos) == {}
    assert build(photos, encoder, exclude=["a"]).images == 7
    assert build(photos, encoder, exclude=[""]).images == 14


def test_followed_links_are_kept(photos: Path, encoder: CountingEncoder, tmp_path: Path) -> None:
    (photos / "album").symlink_to(fill(tmp_path / "elsewhere", ["0.png"], first=100))

    assert build(photos, encoder, follow_links=True).images == 13
    assert build(photos, encoder).images == 13
    assert options(photos) == {"follow_links": True}
    with pytest.raises(PruneRefused, match="`follow_links=True`"):
        build(photos, encoder, follow_links=False)
    assert build(photos, encoder, follow_links=False, prune=True).images == 12
    assert options(photos) == {}


def test_included_system_folders_are_kept_and_counted_otherwise(
    photos: Path, encoder: CountingEncoder
) -> None:
    fill(photos, ["#recycle/x.png", "a/#recycle/y.png", "@eaDir/z.png"], first=60)

    report = build(photos, encoder)
    assert (report.images, report.left_out) == (12, {"#recycle": 2, "@eaDir": 1})
    report = build(photos, encoder, include=["#recycle"])
    assert (report.images, report.left_out) == (14, {"@eaDir": 1})
    assert build(photos, encoder).images == 14
    assert build(photos, encoder, include=()).images == 12


def test_options_that_change_nothing_else_are_kept_too(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)

    build(photos, encoder, exclude=["*.gif"])

    assert options(photos) == {"exclude": ["*.gif"]}
    generation = read_manifest(photos / ".retrieve").generation
    build(photos, encoder)
    assert read_manifest(photos / ".retrieve").generation == generation


def test_a_part_of_the_root_keeps_the_options_of_the_whole(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder, exclude=["5.png"])

    report = retrieval.build_index(photos / "a", index=photos / ".retrieve", encoder=encoder)
    assert report.images == 10
    report = retrieval.build_index(
        photos / "a", index=photos / ".retrieve", encoder=encoder, exclude=["0.png"]
    )

    assert "a/5.png" in paths(photos, encoder)
    assert "a/0.png" not in paths(photos, encoder)
    assert options(photos) == {"exclude": ["5.png"]}


def test_globs_are_relative_to_the_root_also_where_a_part_is_built(
    photos: Path, encoder: CountingEncoder
) -> None:
    build(photos, encoder, exclude=["/a/0.png"])

    retrieval.build_index(photos / "a", index=photos / ".retrieve", encoder=encoder)

    assert "a/0.png" not in paths(photos, encoder)


class TestTheGuard:
    @pytest.fixture
    def many(self, tmp_path: Path) -> Path:
        return fill(
            tmp_path / "many",
            [
                *(f"keep/{number}.png" for number in range(5)),
                *(f"other/{number}.png" for number in range(25)),
            ],
        )

    def test_it_names_the_exclusion(self, many: Path, encoder: CountingEncoder) -> None:
        build(many, encoder)

        with pytest.raises(
            PruneRefused, match=r'25 of 30.*25 are left out by `exclude="other"`.*`prune=True`'
        ) as refused:
            build(many, encoder, exclude=["other"])

        assert "drive" not in str(refused.value)
        assert len(paths(many, encoder)) == 30
        assert options(many) == {}
        assert build(many, encoder, exclude=["other"], prune=True).images == 5

    def test_it_names_the_system_folder(self, many: Path, encoder: CountingEncoder) -> None:
        (many / "other").rename(many / "@Recycle")
        build(many, encoder, include=["@Recycle"])

        with pytest.raises(PruneRefused, match=r'25 lie in @Recycle.*`include="@Recycle"`'):
            build(many, encoder, include=[])

    def test_it_names_the_exclusion_of_everything(self, many: Path, encoder: CountingEncoder) -> None:
        build(many, encoder)

        with pytest.raises(PruneRefused, match=r'30 are left out by `exclude="\*\.png"`'):
            build(many, encoder, exclude=["*.png"])

    def test_it_says_drive_where_no_option_explains_it(self, many: Path, encoder: CountingEncoder) -> None:
        build(many, encoder)
        (many / "other").rename(many.parent / "gone")

        with pytest.raises(PruneRefused, match="drive"):
            build(many, encoder)
