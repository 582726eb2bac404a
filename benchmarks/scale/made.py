"""Make what the parts of `bench_scale.py` store: seeded vectors, their keys, and a source that lists made images."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.synthetic import Recipe, World, drawn as draw, world

BLOCK = 65_536
IN_FOLDER = 1_000
QUERIES_SEED = 1 << 40


def world_of(rows: int, dim: int) -> World:
    """Return what the vectors of a collection of so many rows are drawn around: a hundred rows a cluster.

    With clusters whose number does not grow a collection's size would change how hard its neighbours are to find, and costs of
    different sizes would say more of the vectors than of the index.
    """
    return world(Recipe(rows=rows, dim=dim))


def drawn(count: int, around: World, seed: int) -> NDArray[np.float32]:
    """Return unit rows ``(count, d)``; the same seed gives the same."""
    return draw(around, count, np.random.default_rng([1, seed]))


def key(number: int) -> str:
    """Return the key of a row: 25 bytes up to a hundred million rows."""
    return f"albums/{number // IN_FOLDER:05}/{number:08}.jpg"


def write_inputs(work: Path, rows: int, dim: int) -> tuple[Path, Path]:
    """Write the vectors of so many rows and their keys, block by block; return both files."""
    vectors, keys = work / f"{rows}.npy", work / f"{rows}.txt"
    around = world_of(rows, dim)
    with vectors.open("wb") as file, keys.open("w", encoding="ascii") as names:
        np.lib.format.write_array_header_2_0(
            file, {"descr": "<f2", "fortran_order": False, "shape": (rows, dim)}
        )
        for start in range(0, rows, BLOCK):
            block = drawn(min(BLOCK, rows - start), around, start)
            file.write(block.astype(np.float16).data)
            names.writelines(f"{key(number)}\n" for number in range(start, start + len(block)))
    return vectors, keys


class MadeImage(NamedTuple):
    """An entry of `MadeSource`."""

    key: bytes
    stamp: bytes
    claimed: bool = True


class MadeSource:
    """A source that lists made images; only the first of them can be read.

    Attributes:
        count: how many; of the class, since a build opens a source again by its text.
    """

    count: ClassVar[int] = 1

    type: ClassVar[str] = "made"
    takes: ClassVar[frozenset[str]] = frozenset()
    spec = name = "made images"

    def __init__(self) -> None:
        self.options: Mapping[str, Any] = {}

    @classmethod
    def recognises(cls, _text: str) -> bool:
        """Recognise nothing: it is given as an object."""
        return False

    @classmethod
    def from_spec(cls, _text: str, _options: Mapping[str, Any]) -> MadeSource:
        """Open it again."""
        return cls()

    def entries(self, _seen: Any = None) -> Iterator[MadeImage]:
        """Yield them."""
        stamp = struct.Struct("<QQ").pack
        for number in range(self.count):
            yield MadeImage(key(number).encode(), stamp(1_000_000 + number, number << 20))

    def read(self, _entry: Any, *, max_pixels: int | None = None) -> bytes:  # noqa: ARG002 -- the protocol's
        """Return a picture."""
        data = io.BytesIO()
        Image.new("L", (8, 8), 90).save(data, "PNG")
        return data.getvalue()

    def look(self, _entry: Any) -> None:
        """Say that nothing else is an image."""

    def holds(self, _key: bytes) -> bool:
        """Say that every key is one."""
        return True

    def link(self, key: bytes) -> str:
        """Return the key as text."""
        return key.decode()

    def find(self, _path: Any) -> None:
        """Find nothing."""

    def changed(self, _memory: Path) -> bool:
        """Say that it has to be listed."""
        return True
