"""Write tar files for tests."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from tests.retrieval.folders import picture


def png(seed: int) -> bytes:
    """Return the file of a picture."""
    file = io.BytesIO()
    picture(seed).save(file, format="PNG")
    return file.getvalue()


def write_tar(path: Path, members: list[tuple[str, bytes]], *, mode: str = "w") -> Path:
    """Write members in their order; a path of bytes that are no UTF-8 is surrogate-escaped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def pictures(count: int, *, first: int = 0, folder: str = "") -> list[tuple[str, bytes]]:
    """Return members that are pictures."""
    return [(f"{folder}{number:04d}.png", png(number)) for number in range(first, first + count)]
