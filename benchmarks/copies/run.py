"""Say what a part of the benchmark is run with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a part is run with.

    Attributes:
        data: the folder of photographs.
        number: how many photographs are altered; each part has its own usual number.
        work: a folder that keeps what takes long, such as vectors, for the next run.
        minutes: when a part stops that can stop anywhere.
        gallery: how many images are searched, where a part has a gallery; None for its usual number.
    """

    data: Path
    number: int
    work: Path
    minutes: float
    gallery: int | None = None
