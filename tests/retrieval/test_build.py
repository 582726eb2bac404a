from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import retrieval
from indexes.store import Record
from retrieval.changes import compare, refuse_emptying
from retrieval.errors import (
    ImagesSkipped,
    OptionError,
    PruneRefused,
    SpaceMismatch,
    StoreCorrupt,
    StoreLocked,
    StoreReadOnly,
)
from retrieval.skipped import read_skipped
from retrieval.testing import FakeEncoder
from retrieval.walk import Skipped
from tests.retrieval.folders import CountingEncoder, fill, picture, touch_later

NAMES = [f"{folder}/{number}.png" for folder in ("a", "b") for number in range(6)]


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", NAMES)


def build(folder: Path, encoder: FakeEncoder, **options: object) -> retrieval.BuildReport:
    return retrieval.build_index(folder, encoder=encoder, **options)


def paths(folder: Path, encoder: FakeEncoder) -> dict[str, int]:
    with retrieval.open(folder, encoder=encoder) as collection:
        return collection.ids_by_path()


def test_every_image_becomes_a_row_that_finds_itself(photos: Path, encoder: CountingEncoder) -> None:
    report = build(photos, encoder)

    assert (report.images, report.encoded, report.reused, report.skipped) == (12, 12, 0, 0)
    with retrieval.open(photos, encoder=encoder) as collection:
        for name in NAMES:
            hit = collection.search(photos / name, k=1, include_self=True)[0]
            assert hit.path == name
            assert hit.score == pytest.approx(1, abs=1e-3)


def test_again_is_nothing_to_do(photos: Path, encoder: CountingEncoder) -> None:
    first = build(photos, encoder)
    generation = retrieval.open(photos, encoder=encoder).manifest.generation

    again = build(photos, encoder)

    assert (again.encoded, again.reused, again.moved, again.removed) == (0, 0, 0, 0)
    assert again.images == first.images
    assert encoder.encoded == 12
    assert retrieval.open(photos, encoder=encoder).manifest.generation == generation


def test_nothing_to_do_loads_no_model(
    photos: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder.spec = "nano@1"  # as if nano had built it
    build(photos, encoder)

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a model was loaded")

    monkeypatch.setattr("retrieval.build_encoder.load_encoder", refuse)

    assert retrieval.build_index(photos).images == 12


def test_new_changed_touched_moved_copied_and_deleted_files(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    before = paths(photos, encoder)
    fill(photos, ["new.png"], first=100)
    picture(200).save(photos / "a/0.png")
    touch_later(photos / "a/0.png")
    touch_later(photos / "a/1.png")
    (photos / "a/2.png").rename(photos / "moved.png")
    shutil.copy(photos / "a/3.png", photos / "copy.png")
    (photos / "a/4.png").unlink()
    encoder.encoded = 0

    report = build(photos, encoder)

    after = paths(photos, encoder)
    assert encoder.encoded == 2  # the new and the changed one
    assert (report.encoded, report.reused, report.moved, report.removed) == (2, 2, 1, 1)
    assert report.images == 13 == len(after)
    assert after["moved.png"] == before["a/2.png"]
    assert after["a/1.png"] == before["a/1.png"]
    assert after["a/0.png"] != before["a/0.png"]
    assert "a/4.png" not in after
    with retrieval.open(photos, encoder=encoder) as collection:
        for name in after:
            found = {
                hit.path
                for hit in collection.search(photos / name, k=2, include_self=True, fold_copies=False)
            }
            assert name in found
        (hit,) = collection.search(photos / "copy.png", k=1, include_self=True)
        assert hit.copies == 1


def test_a_swap_of_two_files_is_seen(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    one, other, spare = photos / "a/0.png", photos / "a/1.png", photos / "spare"
    one.rename(spare)
    other.rename(one)
    spare.rename(other)
    touch_later(one)
    touch_later(other)

    report = build(photos, encoder)

    assert report.images == 12
    with retrieval.open(photos, encoder=encoder) as collection:
        hit = collection.search(picture(0), k=1)[0]
        assert hit.path == "a/1.png"


def test_a_renamed_folder_is_moved_not_encoded(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    (photos / "a").rename(photos / "c")
    (photos / "b").rename(photos / "d")
    encoder.encoded = 0

    report = build(photos, encoder)

    assert (report.moved, report.removed, encoder.encoded) == (12, 0, 0)


def test_exact_copies_are_encoded_once(tmp_path: Path, encoder: CountingEncoder) -> None:
    photos = fill(tmp_path, ["one.png"])
    for number in range(40):
        shutil.copy(photos / "one.png", photos / f"copy{number}.png")

    report = build(photos, encoder)

    assert (report.images, report.encoded, report.reused) == (41, 1, 40)


def test_broken_files_are_listed_counted_and_not_tried_again(photos: Path, encoder: CountingEncoder) -> None:
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "text.jpg").write_text("not an image")
    half = (photos / "a/0.png").read_bytes()
    (photos / "half.png").write_bytes(half[: len(half) // 2])

    report = build(photos, encoder)

    assert report.images == 12
    assert report.skipped == 3 == sum(report.skipped_by_reason.values())
    assert set(read_skipped(photos / ".retrieve")) == {b"empty.jpg", b"text.jpg", b"half.png"}
    again = build(photos, encoder)
    assert again.skipped == 3
    assert again.skipped_by_reason == report.skipped_by_reason

    (photos / "half.png").write_bytes(half)
    touch_later(photos / "half.png")
    mended = build(photos, encoder)
    assert (mended.images, mended.skipped) == (13, 2)


def test_a_file_that_broke_loses_its_old_vector(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    (photos / "a/0.png").write_bytes(b"")

    report = build(photos, encoder)

    assert (report.images, report.removed, report.skipped) == (11, 1, 1)


def test_strict_fails_after_a_complete_build(photos: Path, encoder: CountingEncoder) -> None:
    (photos / "empty.jpg").write_bytes(b"")

    with pytest.raises(ImagesSkipped, match="1 empty"):
        build(photos, encoder, strict=True)

    assert len(paths(photos, encoder)) == 12


def test_names_of_all_kinds(tmp_path: Path, encoder: CountingEncoder) -> None:
    names = [
        "new\nline.png",
        "tab\t.png",
        "emoji😀.png",
        os.fsdecode(b"bytes\xff.png"),
        "quote'\".png",
        " space .png",
    ]
    photos = fill(tmp_path / "p", names)

    build(photos, encoder)

    assert set(paths(photos, encoder)) == set(names)


class TestPrune:
    @pytest.fixture
    def many(self, tmp_path: Path) -> Path:
        return fill(tmp_path / "many", [f"{number}.png" for number in range(30)])

    def test_an_emptied_folder_stops_the_build(self, many: Path, encoder: CountingEncoder) -> None:
        build(many, encoder)
        for path in many.glob("*.png"):
            path.unlink()

        with pytest.raises(PruneRefused, match="--prune"):
            build(many, encoder)

        assert len(paths(many, encoder)) == 30
        assert build(many, encoder, prune=True).images == 0

    def test_losing_more_than_half_stops_the_build(self, many: Path, encoder: CountingEncoder) -> None:
        build(many, encoder)
        for number in range(16):
            (many / f"{number}.png").unlink()

        with pytest.raises(PruneRefused, match="16 of 30"):
            build(many, encoder)

        assert len(paths(many, encoder)) == 30
        report = build(many, encoder, prune=True)
        assert (report.images, report.removed) == (14, 16)

    def test_replacing_most_files_stops_the_build_too(self, many: Path, encoder: CountingEncoder) -> None:
        build(many, encoder)
        for number in range(20):
            (many / f"{number}.png").unlink()
        fill(many, [f"new{number}.png" for number in range(20)], first=100)

        with pytest.raises(PruneRefused):
            build(many, encoder)

        assert build(many, encoder, prune=True).images == 30

    def test_a_late_refusal_keeps_every_row_and_shows_the_new_ones(
        self, many: Path, encoder: CountingEncoder
    ) -> None:
        build(many, encoder)
        for number in range(20):
            (many / f"{number}.png").unlink()
        fill(many, [f"new{number}.png" for number in range(20)], first=100)

        with pytest.raises(PruneRefused):
            build(many, encoder)

        assert len(paths(many, encoder)) == 50

    def test_files_that_all_broke_stop_the_build(self, many: Path, encoder: CountingEncoder) -> None:
        build(many, encoder)
        for number in range(20):
            (many / f"{number}.png").write_bytes(b"")

        with pytest.raises(PruneRefused, match="20 of 30"):
            build(many, encoder)

        assert len(paths(many, encoder)) == 30
        report = build(many, encoder, prune=True)
        assert (report.images, report.removed, report.skipped) == (10, 20, 20)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
    def test_a_folder_wholly_unreadable_keeps_its_rows(
        self, tmp_path: Path, encoder: CountingEncoder
    ) -> None:
        photos = fill(tmp_path, [f"a/{number}.png" for number in range(30)])
        build(photos, encoder)
        for mode in (0o000, 0o400):  # neither names nor sizes; names without sizes
            (photos / "a").chmod(mode)
            try:
                report = build(photos, encoder)
            finally:
                (photos / "a").chmod(0o755)
            assert (report.removed, report.images) == (0, 30)
            assert report.skipped >= 1

    def test_losing_half_is_fine(self, many: Path, encoder: CountingEncoder) -> None:
        build(many, encoder)
        for number in range(15):
            (many / f"{number}.png").unlink()

        assert build(many, encoder).removed == 15

    def test_a_missing_folder_is_named(self, tmp_path: Path, encoder: CountingEncoder) -> None:
        with pytest.raises(OptionError, match="does not exist"):
            build(tmp_path / "gone", encoder)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
    def test_an_unreadable_folder_keeps_its_rows(self, photos: Path, encoder: CountingEncoder) -> None:
        build(photos, encoder)
        (photos / "a").chmod(0)
        try:
            report = build(photos, encoder)
        finally:
            (photos / "a").chmod(0o755)

        assert report.removed == 0
        assert len(paths(photos, encoder)) == 12


def test_rows_below_what_cannot_be_looked_at_are_not_missing() -> None:
    keys = [b"closed/x.png", b"closed/deep/y.png", b"closed.png", b"denied.png", b"gone.png"]
    records = [Record(id=number, key=key, content=b"", stamp=b"") for number, key in enumerate(keys)]
    entries = [
        Skipped(key=b"closed", reason="permission", detail="", folder=True),
        Skipped(key=b"denied.png", reason="permission", detail=""),
        Skipped(key=b"gone.png", reason="vanished", detail=""),
    ]

    changes = compare(entries, records, remembered={})

    assert changes.missing == {b"closed.png": 2, b"gone.png": 4}
    assert [file.key for file in changes.skipped] == [b"closed", b"denied.png", b"gone.png"]
    refuse_emptying(rows=30, removed=0, found=0, folder=Path("photos"))


def test_a_folder_without_images_leaves_nothing_behind(tmp_path: Path, encoder: CountingEncoder) -> None:
    (tmp_path / "notes.txt").write_text("x")

    with pytest.raises(OptionError, match="no images"):
        build(tmp_path, encoder)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]


def test_another_encoder_is_refused_by_name(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)

    with pytest.raises(SpaceMismatch, match="other"):
        build(photos, FakeEncoder(name="other", dim=32))

    assert len(paths(photos, encoder)) == 12


def test_an_index_elsewhere_moves_with_its_root(tmp_path: Path, encoder: CountingEncoder) -> None:
    photos = fill(tmp_path / "one" / "photos", NAMES)
    build(photos, encoder, index=tmp_path / "one" / "index")
    assert not (photos / ".retrieve").exists()

    (tmp_path / "one").rename(tmp_path / "two")

    with retrieval.open(tmp_path / "two" / "index", encoder=encoder) as collection:
        assert collection.root == tmp_path / "two" / "photos"
        hit = collection.search(tmp_path / "two/photos/a/0.png", k=1, include_self=True)[0]
        assert (collection.root / hit.path).is_file()


def test_another_folder_for_an_existing_index_is_refused(tmp_path: Path, encoder: CountingEncoder) -> None:
    one, other = fill(tmp_path / "one", NAMES), fill(tmp_path / "other", NAMES)
    build(one, encoder, index=tmp_path / "index")

    with pytest.raises(OptionError, match="--root"):
        build(other, encoder, index=tmp_path / "index")

    assert build(other, encoder, index=tmp_path / "index", root=other).images == 12


def test_a_part_of_the_root_changes_only_that_part(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    (photos / "a/0.png").unlink()
    (photos / "b/0.png").unlink()

    report = retrieval.build_index(photos / "a", index=photos / ".retrieve", encoder=encoder)

    assert report.removed == 1
    assert "b/0.png" in paths(photos, encoder)
    assert "a/1.png" in paths(photos, encoder)


def test_a_part_of_the_root_may_be_named_through_a_link(
    photos: Path, encoder: CountingEncoder, tmp_path: Path
) -> None:
    build(photos, encoder)
    (tmp_path / "link").symlink_to(photos)
    (photos / "a/0.png").unlink()

    for options in ({}, {"root": photos}):
        report = build(tmp_path / "link" / "a", encoder, index=photos / ".retrieve", **options)
        assert report.images == 11

    assert {name for name in NAMES if name != "a/0.png"} == set(paths(photos, encoder))


def test_a_half_copied_collection_is_named(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    (photos / ".retrieve" / "manifest.json").unlink()

    with pytest.raises(StoreCorrupt, match=r"manifest\.json"):
        build(photos, encoder)


def test_one_writer(photos: Path, encoder: CountingEncoder) -> None:
    from indexes.lock import WriterLock

    build(photos, encoder)
    with WriterLock(photos / ".retrieve"), pytest.raises(StoreLocked, match="this process"):
        build(photos, encoder)


def test_readers_go_on_during_a_build_and_see_it_after_refresh(
    photos: Path, encoder: CountingEncoder
) -> None:
    build(photos, encoder)
    with retrieval.open(photos, encoder=encoder) as reader:
        fill(photos, ["new.png"], first=100)
        build(photos, encoder)

        assert len(reader.search(photos / "a/0.png", k=50)) == 11
        assert reader.refresh()
        assert len(reader.search(photos / "a/0.png", k=50)) == 12
        assert not reader.refresh()


class Interrupted(CountingEncoder):
    """Stops as Ctrl-C does after some images."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def encode_pixels(self, batch: object) -> object:
        if self.encoded >= self.after:
            raise KeyboardInterrupt
        return super().encode_pixels(batch)


def test_an_interrupted_build_keeps_what_it_has_and_continues(tmp_path: Path) -> None:
    photos = fill(tmp_path / "p", [f"{number:03}.png" for number in range(100)])

    with pytest.raises(KeyboardInterrupt):
        build(photos, Interrupted(after=40))

    kept = len(paths(photos, FakeEncoder()))
    assert kept >= 32
    rest = CountingEncoder()
    assert build(photos, rest).images == 100
    assert rest.encoded == 100 - kept


def interrupt_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("retrieval.build.derive", interrupt)


def test_a_build_interrupted_while_it_trains_answers_with_every_row(
    photos: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_training(monkeypatch)

    with pytest.raises(KeyboardInterrupt):
        build(photos, encoder)

    with retrieval.open(photos, encoder=encoder) as collection:
        assert len(collection) == 12
        assert len(collection.search(picture(0), k=20)) == 12


def test_a_callback_that_fails_ends_the_build_and_keeps_its_rows(
    photos: Path, encoder: CountingEncoder
) -> None:
    def fail(progress: retrieval.Progress) -> None:
        if progress.phase == "embed":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build(photos, encoder, progress=fail)

    assert len(paths(photos, encoder)) == 12


def test_a_build_that_fails_before_its_first_row_leaves_nothing(photos: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(photos, Interrupted(after=0))

    assert not (photos / ".retrieve").exists()
    assert build(photos, FakeEncoder(name="other", dim=32)).images == 12


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"recall": 2.0}, "recall"),
        ({"dim": 7}, "7"),
        ({"kind": "nonsense"}, "nonsense"),
        ({"dim": 0}, "use 1 to 64"),
        ({"dim": "wide"}, "wide"),
        ({"kind": "flat", "dim": 65}, "use 1 to 64"),
    ],
)
def test_bad_options_are_refused_before_anything_is_encoded(
    photos: Path, options: dict[str, object], words: str
) -> None:
    class Nested(CountingEncoder):
        def __init__(self) -> None:
            super().__init__(nesting=(32,))

    encoder = Nested()
    with pytest.raises(OptionError, match=words):
        build(photos, encoder, **options)

    assert encoder.encoded == 0
    assert not (photos / ".retrieve").exists()


def test_a_rotation_of_too_few_images_is_refused_before_anything_is_encoded(photos: Path) -> None:
    encoder = CountingEncoder()
    with pytest.raises(OptionError, match="at least 64 vectors, not 12"):
        build(photos, encoder, dim=16)

    assert encoder.encoded == 0
    assert not (photos / ".retrieve").exists()


def test_a_file_in_the_way_of_the_index_is_named(
    photos: Path, encoder: CountingEncoder, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")

    for place in ("file", "file/below", "dangling"):
        with pytest.raises(OptionError, match="--index"):
            build(photos, encoder, index=tmp_path / place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_place_that_cannot_be_written_is_named(
    photos: Path, encoder: CountingEncoder, tmp_path: Path
) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)

    with pytest.raises(StoreReadOnly, match="--index"):
        build(photos, encoder, index=tmp_path / "locked" / "index")


def test_who_is_locked_out_leaves_the_directory_alone(photos: Path, encoder: CountingEncoder) -> None:
    from indexes.lock import WriterLock

    with WriterLock(photos / ".retrieve"):  # another first build, before its first manifest
        (photos / ".retrieve" / "mark").touch()
        with pytest.raises(StoreLocked):
            build(photos, encoder)
        assert (photos / ".retrieve" / "mark").exists()


def test_a_store_left_empty_by_a_kill_does_not_bind_the_next_encoder(photos: Path) -> None:
    from indexes.store import VectorStore

    VectorStore.create(photos / ".retrieve", dim=32).close()

    assert build(photos, FakeEncoder(dim=64)).images == 12


def test_an_encoder_without_a_spec_does_not_take_the_recorded_one_away(
    photos: Path, encoder: CountingEncoder
) -> None:
    encoder.spec = "nano@1"
    build(photos, encoder)
    fill(photos, ["new.png"], first=100)

    build(photos, FakeEncoder())

    with retrieval.open(photos, encoder=encoder) as collection:
        assert collection.manifest.encoder == "nano@1"


def test_only_broken_files_is_a_collection_without_images_every_time(
    tmp_path: Path, encoder: CountingEncoder
) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")

    reports = [build(tmp_path, encoder) for _ in range(2)]

    assert [(report.images, report.skipped) for report in reports] == [(0, 1), (0, 1)]


def test_a_part_of_the_root_keeps_the_list_of_the_others(photos: Path, encoder: CountingEncoder) -> None:
    (photos / "a/empty.jpg").write_bytes(b"")
    (photos / "b/empty.jpg").write_bytes(b"")
    build(photos, encoder)

    report = retrieval.build_index(photos / "a", index=photos / ".retrieve", encoder=encoder)

    assert report.skipped == 1
    assert set(read_skipped(photos / ".retrieve")) == {b"a/empty.jpg", b"b/empty.jpg"}


def test_a_changed_file_that_equals_a_missing_one_is_that_one(photos: Path, encoder: CountingEncoder) -> None:
    build(photos, encoder)
    before = paths(photos, encoder)
    (photos / "a/1.png").replace(photos / "a/0.png")
    touch_later(photos / "a/0.png")
    encoder.encoded = 0

    report = build(photos, encoder)

    after = paths(photos, encoder)
    assert (report.images, report.moved, encoder.encoded) == (11, 1, 0)
    assert after["a/0.png"] == before["a/1.png"]
    assert "a/1.png" not in after


CHILD = """
import sys
from pathlib import Path
import retrieval, retrieval.intake
from tests.retrieval.folders import CountingEncoder
retrieval.intake.COMMIT_SECONDS = 0.0
print("start", flush=True)
retrieval.build_index(Path(sys.argv[1]), encoder=CountingEncoder())
print("done", flush=True)
"""


def killed_at(delay: float, folder: Path) -> Iterator[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    yield child.stdout.readline()
    time.sleep(delay)
    child.send_signal(signal.SIGKILL)
    yield child.stdout.read()
    child.wait()
    child.stdout.close()


def test_builds_killed_again_and_again_end_in_the_whole_collection(tmp_path: Path) -> None:
    """A few kills of a whole build; the store's own test kills at every write."""
    photos = fill(tmp_path / "p", [f"{number:04}.png" for number in range(400)])
    encoder = FakeEncoder()
    for attempt in range(6):
        said = "".join(killed_at(0.02 + 0.08 * attempt, photos))
        assert said.startswith("start")
        if (photos / ".retrieve" / "manifest.json").exists():
            assert len(paths(photos, encoder)) <= 400

    assert build(photos, encoder).images == 400
    found = paths(photos, encoder)
    assert sorted(found) == sorted(path.name for path in photos.glob("*.png"))
    assert len(set(found.values())) == 400
