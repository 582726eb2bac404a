"""Films and documents become a row a picture: unchanged ones are not opened, moved ones not decoded, changed ones replaced."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import retrieval
from retrieval.errors import OptionError
from retrieval.ingestion.intake import media_intake
from retrieval.sources import read_skipped
from tests.retrieval.folders import fill
from tests.retrieval.ingestion.galleries import build, paths
from tests.retrieval.sources.media.made import film, moving, pdf, sound

pytest.importorskip("av", reason="the extra `video` is not installed")
pytest.importorskip("pypdfium2", reason="the extra `pdf` is not installed")


@pytest.fixture
def photos(tmp_path):
    """Return a folder of a photograph, a film of four seconds and a document of two pages."""
    folder = fill(tmp_path / "photos", ["a.png"])
    (folder / "trip").mkdir()
    film(moving(4), folder / "trip" / "clip.mp4", g=25)
    (folder / "paper.pdf").write_bytes(pdf((200, 100), (100, 200)))
    return folder


@pytest.fixture
def decoded(monkeypatch):
    """Return the names of the films and documents that are decoded."""
    names = []
    read = media_intake.all_parts

    def reads(file, key, *options, **named):
        names.append(key)
        return read(file, key, *options, **named)

    monkeypatch.setattr(media_intake, "all_parts", reads)
    return names


FILM = [f"trip/clip.mp4#t={second}" for second in range(4)]
PAGES = ["paper.pdf#page=1", "paper.pdf#page=2"]


def test_films_and_documents_are_taken_only_if_asked_for(photos, encoder):
    report = build(photos, encoder)

    assert set(paths(photos, encoder)) == {"a.png"}
    assert report.other_files == {"pdf": 1, "mp4": 1}
    assert report.skipped == 0


def test_each_picture_of_a_film_or_document_is_a_row(photos, encoder):
    report = build(photos, encoder, every=1.0, pages=True)

    assert set(paths(photos, encoder)) == {"a.png", *FILM, *PAGES}
    assert report.encoded == 7
    assert report.other_files == {}


def test_the_next_build_asks_the_same_question_and_opens_nothing(photos, encoder, decoded, monkeypatch):
    build(photos, encoder, every=1.0, pages=True)
    decoded.clear()
    monkeypatch.setattr(media_intake, "_opened", None)

    report = build(photos, encoder)

    assert decoded == []
    assert (report.encoded, report.reused, report.removed, report.images) == (0, 0, 0, 7)


def test_a_changed_film_replaces_its_rows(photos, encoder):
    build(photos, encoder, every=1.0)
    film(moving(2.5, seed=3), photos / "trip" / "clip.mp4", g=25)

    report = build(photos, encoder)

    assert set(paths(photos, encoder)) == {"a.png", *FILM[:3]}
    assert report.encoded == 3


@pytest.mark.parametrize("how", ["moved", "copied", "touched"])
def test_a_film_with_a_known_content_is_not_decoded(photos, encoder, decoded, how):
    build(photos, encoder, every=1.0)
    decoded.clear()
    before = encoder.encoded
    here, there = photos / "trip" / "clip.mp4", photos / "other.mp4"
    if how == "moved":
        here.rename(there)
    elif how == "copied":
        shutil.copy(here, there)
    else:
        os.utime(here, ns=(1, 1))

    report = build(photos, encoder)

    moved = [name.replace("trip/clip", "other") for name in FILM]
    expected = {"moved": moved, "copied": [*FILM, *moved], "touched": FILM}[how]
    assert set(paths(photos, encoder)) == {"a.png", *expected}
    assert decoded == []
    assert encoder.encoded == before
    assert (report.moved, report.reused) == ((4, 0) if how == "moved" else (0, 4))
    assert build(photos, encoder).reused == 0


def test_another_spacing_reads_a_film_again_and_encodes_only_new_pictures(photos, encoder):
    build(photos, encoder, every=1.0)

    report = build(photos, encoder, every=2.0)
    assert set(paths(photos, encoder)) == {"a.png", FILM[0], FILM[2]}
    assert (report.encoded, report.removed) == (0, 2)

    report = build(photos, encoder, every=1.0)
    assert set(paths(photos, encoder)) == {"a.png", *FILM}
    assert report.encoded == 2


def test_films_are_given_up_by_an_empty_spacing(photos, encoder):
    build(photos, encoder, every="scenes", pages=True)
    assert set(paths(photos, encoder)) == {"a.png", FILM[0], *PAGES}

    build(photos, encoder, every="", pages=False)

    assert set(paths(photos, encoder)) == {"a.png"}


def test_a_build_killed_within_a_film_continues(photos, encoder, monkeypatch):
    from retrieval.ingestion.intake import intake

    film(moving(12), photos / "trip" / "clip.mp4", g=25)
    monkeypatch.setattr(intake, "COMMIT_ROWS", 1)
    read = media_intake.all_parts

    def killed(*given, **named):
        for number, found in enumerate(read(*given, **named)):
            if number == 10:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(media_intake, "all_parts", killed)
    monkeypatch.setattr("retrieval.encoders.devices.batch_size._CPU_BATCH", 1)
    with pytest.raises(KeyboardInterrupt):
        build(photos, encoder, every=1.0)
    monkeypatch.setattr(media_intake, "all_parts", read)
    before = encoder.encoded

    build(photos, encoder, every=1.0)

    assert set(paths(photos, encoder)) == {"a.png", *(f"trip/clip.mp4#t={second}" for second in range(12))}
    assert 2 <= encoder.encoded - before <= 6  # of 12; a photograph is encoded again as a check


def test_films_that_cannot_be_read_are_listed_and_not_opened_again(photos, encoder, decoded):
    (photos / "bad.mp4").write_bytes(b"no film" * 100)
    (photos / "song.mp4").write_bytes(sound())
    (photos / "empty.mov").touch()
    (photos / "torn.pdf").write_bytes(b"%PDF-1.4\n")

    report = build(photos, encoder, every=1.0, pages=True)

    listed = {file.key: file.reason for file in read_skipped(photos / ".retrieve").values()}
    assert listed == {
        b"bad.mp4": "unreadable",
        b"song.mp4": "no-video",
        b"empty.mov": "empty",
        b"torn.pdf": "unreadable",
    }
    assert report.images == 7
    decoded.clear()
    assert build(photos, encoder).skipped == 4
    assert decoded == []


def test_a_film_that_broke_gives_up_its_rows(photos, encoder):
    build(photos, encoder, every=1.0)
    (photos / "trip" / "clip.mp4").write_bytes(b"no film" * 100)

    build(photos, encoder)

    assert set(paths(photos, encoder)) == {"a.png"}


def test_without_the_extra_films_are_listed_and_their_rows_stay(photos, encoder, monkeypatch):
    import sys

    build(photos, encoder, every=1.0)
    film(moving(2), photos / "new.mp4", g=25)
    os.utime(photos / "trip" / "clip.mp4", ns=(1, 1))
    monkeypatch.setitem(sys.modules, "av", None)

    report = build(photos, encoder)

    assert set(paths(photos, encoder)) == {"a.png", *FILM}
    assert report.skipped_by_reason == {"needs-video": 2}
    detail = read_skipped(photos / ".retrieve")[b"new.mp4"].detail
    assert "[video]" in detail
    monkeypatch.delitem(sys.modules, "av")
    assert build(photos, encoder).images == 7


def test_a_film_gives_the_vectors_of_its_pictures(photos, encoder):
    from retrieval.sources.media import moments

    build(photos, encoder, every=1.0)
    with retrieval.open(photos, encoder=encoder) as collection:
        for moment in moments(photos / "trip" / "clip.mp4"):
            hit = collection.search(moment.picture, k=1)[0]
            assert hit.path == f"trip/clip.mp4#t={moment.seconds:g}"
            assert hit.score > 0.999


@pytest.mark.parametrize("every", ["often", 0, -1, float("nan"), True])
def test_spacings_that_cannot_be_are_refused_before_anything_is_written(photos, encoder, every):
    with pytest.raises(OptionError, match="every is"):
        build(photos, encoder, every=every)

    assert not (photos / ".retrieve" / "manifest.json").exists()


def test_rows_of_a_film_below_a_closed_folder_stay(photos, encoder):
    build(photos, encoder, every=1.0)
    assert np.all([name in paths(photos, encoder) for name in FILM])
    (photos / "trip").chmod(0)
    try:
        if os.access(photos / "trip", os.R_OK):
            pytest.skip("the user may read everything")
        report = build(photos, encoder)
    finally:
        (photos / "trip").chmod(0o755)

    assert report.images == 5


def test_a_hit_says_when_in_its_film_it_is_and_opens_the_picture(photos, encoder):
    from retrieval.sources.media import picture_at

    build(photos, encoder, every=1.0, pages=True)
    clip = photos / "trip" / "clip.mp4"
    with retrieval.open(photos, encoder=encoder) as collection:
        hit = collection.search(picture_at(clip, 2.0), k=1)[0]
        row = collection[hit.path]
        page = collection["paper.pdf#page=2"]
        photograph = collection.search(photos / "a.png", k=1, include_self=True)[0]

    assert (hit.path, hit.moment, hit["moment"]) == ("trip/clip.mp4#t=2", 2.0, 2.0)
    assert hit.file == clip
    assert hit.link == f"{clip}#t=2"
    assert np.array_equal(np.asarray(hit.open()), np.asarray(picture_at(clip, 2.0)))
    assert np.array_equal(np.asarray(row.open()), np.asarray(hit.open()))
    assert page.open().size == (400, 800)
    assert page.file == photos / "paper.pdf"
    assert photograph.moment is None
    assert "moment" not in photograph


def test_the_table_and_the_page_show_the_moment_and_lead_to_it(photos, encoder, tmp_path):
    from retrieval.render.html_page import Answer, page
    from retrieval.render.output import Form, hits

    build(photos, encoder, every=1.0)
    with retrieval.open(photos, encoder=encoder) as collection:
        found = collection.search(picture_of(photos), k=5)
        text = hits(found, Form.TABLE).decode()
        shown = page([Answer(query=[], hits=found)], root=photos, beside=tmp_path)

    assert "trip/clip.mp4#t=3  at 0:03" in text
    assert 'href="photos/trip/clip.mp4#t=3"' in shown
    assert ">at 0:03<" in shown
    assert "not shown" not in shown


def picture_of(photos):
    from retrieval.sources.media import picture_at

    return picture_at(photos / "trip" / "clip.mp4", 3.0)


def test_a_file_named_like_a_moment_is_a_file(photos, encoder):
    fill(photos, ["b.mp4#t=1"])

    build(photos, encoder, every=1.0)

    with retrieval.open(photos, encoder=encoder) as collection:
        assert collection["b.mp4#t=1"].open().size == (48, 48)


@pytest.mark.parametrize("kind", ["tar", "listing"])
def test_films_and_documents_in_other_sources(photos, encoder, tmp_path, kind):
    import tarfile

    place = tmp_path / ("shard.tar" if kind == "tar" else "list.txt")
    names = ["a.png", "trip/clip.mp4", "paper.pdf"]
    if kind == "tar":
        with tarfile.open(place, "w") as archive:
            for name in names:
                archive.add(photos / name, name)
    else:
        place.write_text("".join(f"photos/{name}\n" for name in names))
    index = tmp_path / "index"
    prefix = "shard.tar/" if kind == "tar" else "photos/"

    report = retrieval.build_index(place, index=index, encoder=encoder, every=1.0, pages=True)
    again = retrieval.build_index(index=index, encoder=encoder)

    assert set(paths(index, encoder)) == {prefix + name for name in ["a.png", *FILM, *PAGES]}
    assert (report.encoded, again.encoded, again.reused, again.removed) == (7, 0, 0, 0)
    with retrieval.open(index, encoder=encoder) as collection:
        hit = collection.search(picture_of(photos), k=1)[0]
    assert (hit.path, hit.moment) == (f"{prefix}trip/clip.mp4#t=3", 3.0)
    assert np.array_equal(np.asarray(hit.open()), np.asarray(picture_of(photos)))


def test_a_film_of_many_rows_may_move_and_be_read_again_without_a_question(photos, encoder):
    clip = photos / "trip" / "clip.mp4"
    film(moving(30), clip, g=50)
    build(photos, encoder, every=1.0)

    clip.rename(photos / "long.mp4")
    assert build(photos, encoder).moved == 30
    report = build(photos, encoder, every=10.0)

    assert set(paths(photos, encoder)) == {"a.png", *(f"long.mp4#t={second}" for second in (0, 10, 20))}
    assert (report.encoded, report.removed) == (0, 27)


def test_a_film_that_is_gone_takes_its_rows_with_it_only_if_that_may_be(photos, encoder):
    from retrieval.errors import PruneRefused

    film(moving(30), photos / "trip" / "clip.mp4", g=50)
    build(photos, encoder, every=1.0)
    (photos / "trip" / "clip.mp4").unlink()

    with pytest.raises(PruneRefused, match="30 of 31 images are gone"):
        build(photos, encoder)
    build(photos, encoder, prune=True)

    assert set(paths(photos, encoder)) == {"a.png"}


def test_every_file_is_read_again_by_rehash_and_nothing_is_encoded(photos, encoder):
    build(photos, encoder, every=1.0, pages=True)
    before = encoder.encoded

    report = build(photos, encoder, rehash=True)

    assert (report.encoded, report.reused, report.removed, report.images) == (0, 0, 0, 7)
    assert encoder.encoded == before


def test_a_moment_is_a_query_whether_it_is_a_row_or_not(photos, encoder, monkeypatch):
    monkeypatch.chdir(photos)
    build(photos, encoder, every=1.0)
    with retrieval.open(photos, encoder=encoder) as collection:
        row = collection.search(Path("trip/clip.mp4#t=2"), k=1, include_self=True)[0]
        between = collection.search(Path("trip/clip.mp4#t=2.04"), k=1)[0]

    assert (row.path, between.path) == (FILM[2], FILM[2])
    assert row.score > 0.999
    assert between.score > 0.9
