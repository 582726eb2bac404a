"""Linked folders are entered when asked to, and told when not; rows behind them never freeze or go unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

import retrieval
from retrieval.errors import ImagesSkipped, OptionError, PruneRefused
from retrieval.sources.skipped_list import read_skipped
from tests.retrieval.folders import CountingEncoder, fill
from tests.retrieval.ingestion.galleries import build, paths


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Three pictures that lie elsewhere."""
    return fill(tmp_path / "elsewhere", [f"{number}.png" for number in range(3)], first=100)


@pytest.fixture
def linked(photos: Path, album: Path) -> Path:
    """Twelve pictures, and a link to the album."""
    (photos / "album").symlink_to(album)
    return photos


def test_a_link_that_is_not_followed_is_counted_and_listed(linked: Path, encoder: CountingEncoder) -> None:
    report = build(linked, encoder)

    assert (report.images, report.skipped_by_reason) == (12, {"link-not-followed": 1})
    assert "--follow-links" in read_skipped(linked / ".retrieve")[b"album"].detail
    with pytest.raises(ImagesSkipped, match="1 link-not-followed"):
        build(linked, encoder, strict=True)
    assert build(linked, encoder, strict=True, exclude=["album"]).skipped == 0
    followed = build(linked, encoder, exclude=(), follow_links=True)
    assert (followed.images, followed.skipped) == (15, 0)


def test_a_folder_that_holds_only_links_names_the_option(
    tmp_path: Path, album: Path, encoder: CountingEncoder
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "album").symlink_to(album)

    with pytest.raises(OptionError, match=r"no images.*`follow_links=True`"):
        build(photos, encoder)

    (photos / "raw.xcf").touch()
    with pytest.raises(OptionError, match=r"1 image files.*1 unsupported-format.*`follow_links=True`"):
        build(photos, encoder)


def test_rows_behind_a_link_no_longer_followed_stop_the_build(linked: Path, encoder: CountingEncoder) -> None:
    build(linked, encoder, follow_links=True)
    (linked / "album/0.png").unlink()

    with pytest.raises(PruneRefused, match=r"3 of 15.*album.*`follow_links=True`.*`prune=True`"):
        build(linked, encoder, follow_links=False)

    assert len(paths(linked, encoder)) == 15
    followed = build(linked, encoder, follow_links=True)
    assert (followed.images, followed.removed) == (14, 1)
    pruned = build(linked, encoder, follow_links=False, prune=True)
    assert (pruned.images, pruned.removed) == (12, 2)
    assert build(linked, encoder).images == 12


def test_a_folder_that_became_a_link_is_no_lost_folder(
    photos: Path, encoder: CountingEncoder, tmp_path: Path
) -> None:
    build(photos, encoder)
    (photos / "a").rename(tmp_path / "moved")
    (photos / "a").symlink_to(tmp_path / "moved")

    with pytest.raises(PruneRefused, match="6 of 12"):
        build(photos, encoder)

    report = build(photos, encoder, follow_links=True)
    assert (report.images, report.encoded, report.removed) == (12, 0, 0)


def test_a_part_of_the_root_asks_only_about_its_own_links(
    linked: Path, album: Path, encoder: CountingEncoder
) -> None:
    build(linked, encoder, follow_links=True)
    (linked / "a/album").symlink_to(album)

    report = retrieval.build_index(
        linked / "a", index=linked / ".retrieve", encoder=encoder, follow_links=False
    )

    assert (report.images, report.skipped_by_reason) == (15, {"link-not-followed": 1})


def test_a_loop_of_links_loses_nothing_but_a_file_that_links_to_itself_does(
    photos: Path, encoder: CountingEncoder
) -> None:
    (photos / "a/up").symlink_to("..")
    (photos / "self.jpg").symlink_to("self.jpg")

    report = build(photos, encoder, follow_links=True)

    assert (report.images, report.skipped_by_reason) == (12, {"link-loop": 1})


def test_a_link_that_came_to_be_a_loop_loses_its_rows(linked: Path, encoder: CountingEncoder) -> None:
    build(linked, encoder, follow_links=True)
    (linked / "album").unlink()
    (linked / "album").symlink_to(".")

    report = build(linked, encoder, follow_links=True)

    assert (report.images, report.removed) == (12, 3)
