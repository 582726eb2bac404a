"""No command writes to the photographs or beside them, other than into ``.retrieve`` and where it was told to."""

from __future__ import annotations

import os
from pathlib import Path

from tests.retrieval.folders import fill


def state(folder: Path) -> dict[str, tuple[bytes, int, int, int]]:
    """Return content, time, mode and inode of everything below a folder, without the collection."""
    found = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".retrieve"]
        for path in (Path(place, name) for name in [*folders, *names]):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path.relative_to(folder))] = (
                content,
                status.st_mtime_ns,
                status.st_mode,
                status.st_ino,
            )
    return found


def test_no_command_changes_a_photograph(run, tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos", [f"{folder}/{name:02}.png" for folder in "ab" for name in range(12)])
    (photos / "a" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    out = tmp_path / "out"
    out.mkdir()
    before = state(photos)
    commands = [
        ("build-index", photos),
        ("build-index", photos, "--rehash"),
        ("build-index", photos, "--kind", "IVF2,SQ8"),
        ("query", photos / "a" / "00.png", "--index", photos, "--html", out / "page.html"),
        ("info", "--index", photos),
        ("evaluate", "--index", photos, "--attacks"),
        ("export", "--index", photos, "--vectors", out / "v.npy", "--keys", out / "k.txt"),
        ("verify", "--index", photos),
    ]
    for command in commands:
        status, _, err = run(*command)

        assert status == 0, (command, err)
        assert state(photos) == before, command
