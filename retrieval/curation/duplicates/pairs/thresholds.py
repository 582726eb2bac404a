"""Read what was measured: from which cosine pairs are compared, and from which values they are called one picture."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

_FILE = "calibration.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Numbers for one space and one precision; `calibration.json` says how they were measured.

    Attributes:
        picture: cosine from which two images may be one picture.
        pixels: cosine from which two images may have the same pixels.
        hash_bits: share of the bits in which perceptual hashes of one picture differ at most.
        recalls: share of altered copies that were found, by way.
        version: of the numbers and of the way facts are read.
    """

    picture: float
    pixels: float
    hash_bits: float
    recalls: dict[str, float]
    version: str

    def recall(self, *, geometry: bool) -> float | None:
        """Return the share of altered copies that were found among photographs whose copies are known."""
        return self.recalls.get("geometry" if geometry else "hash")

    def way(self, precision: float, *, geometry: bool) -> str:
        """Name the way of comparing, so that results of another one are not taken for its own."""
        if not geometry:
            return f"{self.version}-hash-{self.hash_bits}"
        check = files("retrieval.matching").joinpath(_FILE).read_bytes()
        return f"{self.version}-geometry-{precision}-{zlib.crc32(check):08x}"

    def missed(self, kinds: tuple[str, ...], *, geometry: bool) -> tuple[str, ...]:
        """Say what this way does not find."""
        if geometry or not {"picture", "scene"} & set(kinds):
            return ()
        from indexes.distribution import pip_install

        lines = ["crops, borders, screenshots and pictures with text are mostly missed without OpenCV"]
        if "scene" in kinds:
            lines.append("scenes are not told without OpenCV")
        return (f"{'; '.join(lines)}: {pip_install('verify')} adds it",)


def calibration_file() -> Path:
    """Return where the numbers lie."""
    return Path(str(files(__package__).joinpath(_FILE)))


@cache
def _measured() -> Any:
    return json.loads(calibration_file().read_text(encoding="utf-8"))


def calibration(space: str, *, precision: float) -> Calibration:
    """Return the numbers for a space, those of all encoders where it was not measured, and for a precision.

    Args:
        space: its name.
        precision: the least share of pairs called one picture that are one.
    """
    whole = _measured()
    own = whole["spaces"].get(space, whole["spaces"]["other"])
    hashes = [row for row in whole["hash"] if row["precision"] >= precision] or whole["hash"][-1:]
    return Calibration(
        picture=own["picture"],
        pixels=own["pixels"],
        hash_bits=hashes[0]["bits"],
        recalls={"hash": hashes[0]["recall"], **whole["recall"]},
        version=whole["version"],
    )
