"""Files are moved away and back: never lost, never overwritten, whatever kills the process."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from retrieval.collection.rows import moved_stamps
from retrieval.curation.duplicates.moving import moves
from retrieval.curation.duplicates.moving.moves import UNDO, move_files, undo_moves
from retrieval.curation.duplicates.moving.undo_file import Move
from retrieval.errors import OptionError
from retrieval.sources import keys
from retrieval.sources.decoding import content_hash

NAMES = [
    b"a.jpg",
    b"new\nline.jpg",
    b"raw\xff\xfe.jpg",
    "東京/夜景.jpg".encode(),
    b"deep/er/b.jpg",
    b"x" * 250,
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for number, name in enumerate(NAMES):
        path = os.path.join(os.fsencode(folder), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(bytes([number]) * (100 + number))
    (folder / "stays.jpg").write_bytes(b"stays")
    (folder / ".retrieve").mkdir()
    return folder


def planned(root: Path, names: list[bytes] = NAMES) -> list[Move]:
    moving = []
    for name in names:
        path = os.path.join(os.fsencode(root), name)
        with open(path, "rb") as file:
            content = content_hash(file.read())
        moving.append(
            Move(
                key=name,
                stamp=keys.stamp_of(os.fsdecode(path)),
                content=content,
                stays=b"stays.jpg",
                stays_stamp=keys.stamp_of(root / "stays.jpg"),
            )
        )
    return moving


def contents(folder: Path) -> dict[bytes, bytes]:
    """Return every file below a folder but the undo file and the collection's own."""
    found = {}
    for parent, folders, files in os.walk(os.fsencode(folder)):
        if b".retrieve" in folders:
            folders.remove(b".retrieve")
        for name in files:
            if name != os.fsencode(UNDO):
                path = os.path.join(parent, name)
                with open(path, "rb") as file:
                    found[os.path.relpath(path, os.fsencode(folder))] = file.read()
    return found


def move(root: Path, target: Path, moving: list[Move] | None = None) -> moves.MoveReport:
    return move_files(
        planned(root) if moving is None else moving,
        root=root,
        directory=target,
        collection=root / ".retrieve",
    )


def test_files_go_under_their_own_names_and_come_back(root: Path, tmp_path: Path) -> None:
    before = contents(root)

    report = move(root, tmp_path / "away")

    assert len(report.moved) == len(NAMES)
    assert report.left == []
    assert contents(root) == {b"stays.jpg": b"stays"}
    assert contents(tmp_path / "away") == {name: before[name] for name in NAMES}
    times = {name: os.stat(os.path.join(os.fsencode(tmp_path / "away"), name)).st_mtime_ns for name in NAMES}

    back = undo_moves(tmp_path / "away")

    assert len(back.moved) == len(NAMES)
    assert contents(root) == before
    assert contents(tmp_path / "away") == {}
    assert {name: os.stat(os.path.join(os.fsencode(root), name)).st_mtime_ns for name in NAMES} == times
    assert undo_moves(tmp_path / "away").moved == []


def test_the_folder_of_moved_files_may_itself_be_moved(root: Path, tmp_path: Path) -> None:
    before = contents(root)
    move(root, tmp_path / "away")
    (tmp_path / "away").rename(tmp_path / "elsewhere")

    assert len(undo_moves(tmp_path / "elsewhere" / UNDO).moved) == len(NAMES)
    assert contents(root) == before


def test_nothing_is_overwritten_on_the_way_out(root: Path, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "a.jpg").write_bytes(b"somebody else's")

    move(root, tmp_path / "away", planned(root, [b"a.jpg"]))

    assert contents(tmp_path / "away") == {b"a.jpg": b"somebody else's", b"a-2.jpg": bytes(100)}


def test_nothing_is_overwritten_on_the_way_back(root: Path, tmp_path: Path) -> None:
    move(root, tmp_path / "away", planned(root, [b"a.jpg"]))
    (root / "a.jpg").write_bytes(b"new")

    report = undo_moves(tmp_path / "away")

    assert report.moved == []
    assert "another file" in report.left[0][1]
    assert (root / "a.jpg").read_bytes() == b"new"
    assert (tmp_path / "away" / "a.jpg").read_bytes() == bytes(100)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda root: (root / "a.jpg").write_bytes(b"edited"), "changed"),
        (lambda root: (root / "a.jpg").unlink(), "gone"),
        (lambda root: (root / "stays.jpg").unlink(), "stays.jpg, which stays, is gone"),
        (
            lambda root: (root / "stays.jpg").write_bytes(b"other"),
            "stays.jpg, which stays, is gone or changed",
        ),
    ],
)
def test_a_file_stays_if_it_or_the_one_that_stays_changed(
    root: Path, tmp_path: Path, change: Callable[[Path], object], reason: str
) -> None:
    moving = planned(root, [b"a.jpg"])
    change(root)
    before = contents(root)

    report = move(root, tmp_path / "away", moving)

    assert report.moved == []
    assert reason in report.left[0][1]
    assert contents(root) == before


def test_a_file_whose_bytes_changed_under_the_same_time_stays(root: Path, tmp_path: Path) -> None:
    moving = planned(root, [b"a.jpg"])
    status = os.stat(root / "a.jpg")
    (root / "a.jpg").write_bytes(b"!" * 100)
    os.utime(root / "a.jpg", ns=(status.st_atime_ns, status.st_mtime_ns))

    assert "its bytes changed" in move(root, tmp_path / "away", moving).left[0][1]


def test_a_link_is_not_moved_nor_a_file_for_a_link_to_it(root: Path, tmp_path: Path) -> None:
    (root / "link.jpg").symlink_to("a.jpg")
    for_link = planned(root, [b"a.jpg"])[0]
    for_link = Move(
        key=for_link.key,
        stamp=for_link.stamp,
        content=for_link.content,
        stays=b"link.jpg",
        stays_stamp=for_link.stamp,
    )

    report = move(root, tmp_path / "away", [*planned(root, [b"link.jpg"]), for_link])

    assert [reason for _, reason in report.left] == [
        "it is a link",
        f"{root}/link.jpg, which stays, is a link to it",
    ]
    assert (root / "link.jpg").read_bytes() == bytes(100)


def test_a_folder_inside_of_the_images_is_refused(root: Path) -> None:
    with pytest.raises(OptionError, match="would index the moved files again"):
        move(root, root / "away")


def test_the_undo_file_of_another_folder_is_refused(root: Path, tmp_path: Path) -> None:
    move(root, tmp_path / "away")
    (tmp_path / "others" / ".retrieve").mkdir(parents=True)

    with pytest.raises(OptionError, match="is the undo file of"):
        move_files(
            [],
            root=tmp_path / "others",
            directory=tmp_path / "away",
            collection=tmp_path / "others/.retrieve",
        )


@pytest.mark.parametrize(
    "text", [b"", b"{}\n", b"[1]\n", b"\xff\n", b'{"format": 9, "root": "/", "collection": "/"}\n']
)
def test_something_else_is_no_undo_file(tmp_path: Path, text: bytes) -> None:
    (tmp_path / UNDO).write_bytes(text)

    with pytest.raises(OptionError, match="not an undo file"):
        undo_moves(tmp_path)


def test_an_undo_file_leads_nowhere_else(root: Path, tmp_path: Path) -> None:
    move(root, tmp_path / "away", planned(root, [b"a.jpg"]))
    path = tmp_path / "away" / UNDO
    path.write_bytes(path.read_bytes().replace(b'"to": "a.jpg"', b'"to": "../a.jpg"'))

    with pytest.raises(OptionError, match="leads out of its folder"):
        undo_moves(path)


def test_the_collection_remembers_what_was_moved_and_forgets_what_came_back(
    root: Path, tmp_path: Path
) -> None:
    moving = planned(root)
    move(root, tmp_path / "away")

    assert moved_stamps(root / ".retrieve") == {one.key: one.stamp for one in moving}

    undo_moves(tmp_path / "away")

    assert moved_stamps(root / ".retrieve") == {}


STEPS = ("link", "unlink", "rename", "replace", "fsync", "mkdir", "open", "write", "truncate")


@contextmanager
def killed_at(step: int, *, after: bool) -> Iterator[None]:
    """Kill this process at a step of those that change something; only ever in a child."""
    left = step

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left == 0 and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments, **options)
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for name in STEPS:
        if hasattr(os, name):
            setattr(os, name, counted(getattr(os, name)))
    yield


def in_child(work: Callable[[], object], step: int, *, after: bool) -> bool:
    """Do work in a child that is killed at a step; say whether it was."""
    child = os.fork()
    if child == 0:
        try:
            with killed_at(step, after=after):
                work()
        except BaseException:  # noqa: BLE001 - the parent sees the status
            os._exit(1)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in {0, -signal.SIGKILL}
    return ended != 0


def without_links(*_: object, **__: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def across(*_: object, **__: object) -> None:
    raise OSError(18, "Invalid cross-device link")


@pytest.mark.parametrize("way", ["links", "no links", "across file systems"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("end", ["undone", "continued"])
def test_a_kill_at_any_step_loses_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, way: str, after: bool, end: str
) -> None:
    if way != "links":
        monkeypatch.setattr(os, "link", without_links if way == "no links" else across)
    before = contents(root)
    moving = planned(root, NAMES[1:3])
    target = tmp_path / "away"
    step, killed = 0, True
    while killed:
        step += 1
        killed = in_child(lambda: move(root, target, moving), step, after=after)
        there = contents(root)
        away = {name: data for name, data in contents(target).items() if not name.startswith(b".partial-")}
        for one in moving:
            assert before[one.key] in (there.get(one.key), away.get(one.key)), (step, one.key)
        if end == "continued" and killed:
            assert move(root, target, moving).left == []
            assert contents(root) == {name: data for name, data in before.items() if name not in NAMES[1:3]}
            assert contents(target) == {name: before[name] for name in NAMES[1:3]}
        if target.is_dir() and (target / UNDO).is_file():
            undo = target / UNDO
            if undo.read_bytes().endswith(b"\n"):
                assert undo_moves(undo).left == []
        assert contents(root) == before, step
        shutil.rmtree(target, ignore_errors=True)

    assert step > 10


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_while_moving_back_loses_nothing(root: Path, tmp_path: Path, *, after: bool) -> None:
    before = contents(root)
    moving = planned(root, NAMES[1:3])
    step, killed = 0, True
    while killed:
        step += 1
        move(root, tmp_path / "away", moving)
        killed = in_child(lambda: undo_moves(tmp_path / "away"), step, after=after)
        there, away = contents(root), contents(tmp_path / "away")
        for one in moving:
            assert before[one.key] in (there.get(one.key), away.get(one.key)), (step, one.key)
        undo_moves(tmp_path / "away")

        assert contents(root) == before
        shutil.rmtree(tmp_path / "away")

    assert step > 5


def test_the_same_run_again_lists_what_it_had_moved_and_blames_nothing(root: Path, tmp_path: Path) -> None:
    moving = planned(root)
    move_files(moving[:3], root=root, directory=tmp_path / "away", collection=root / ".retrieve")

    report = move_files(moving, root=root, directory=tmp_path / "away", collection=root / ".retrieve")

    assert report.left == []
    assert sorted(source for source, _ in report.moved) == sorted(
        os.path.join(root, os.fsdecode(name)) for name in NAMES
    )
    assert all(os.path.isfile(target) for _, target in report.moved)


def test_moving_back_leaves_no_empty_folders(root: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    report = move_files(planned(root), root=root, directory=away, collection=root / ".retrieve")
    (away / "deep" / "mine.txt").write_text("a file of somebody else")

    undo_moves(report.undo)

    left = sorted(os.path.relpath(path, away) for path in away.rglob("*"))
    assert left == ["deep", "deep/mine.txt", UNDO]
