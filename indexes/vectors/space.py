"""Identify an embedding space: vectors may be compared only within equal spaces."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from indexes.errors import OptionError, SpaceMismatch, StoreCorrupt

_SLICE = re.compile(r"\[:\d+\]$")  # what a prefix adds to the name and the fingerprint of its space


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """An embedding space.

    Attributes:
        name: what people call it, e.g. ``nano@1``; not part of the identity.
        dim: width of its vectors.
        fingerprint: hash of the canonical weights and the preprocessing; runtime, device and precision do not enter it.
        nesting: the prefix widths, ascending, that are spaces too (Matryoshka-trained encoders, Kusupati et al. 2022,
            arXiv 2205.13147); empty when prefixes mean nothing.
    """

    name: str
    dim: int
    fingerprint: str
    nesting: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise OptionError(f"space {self.name}: width {self.dim} is not positive")
        object.__setattr__(self, "nesting", tuple(sorted({int(width) for width in self.nesting})))
        if self.nesting and not (self.nesting[0] > 0 and self.nesting[-1] <= self.dim):
            raise OptionError(f"space {self.name}: nesting {self.nesting} must lie within 1 to {self.dim}")

    def same_as(self, other: Space) -> bool:
        """Say whether vectors of both may be compared (same width and fingerprint)."""
        return self.dim == other.dim and self.fingerprint == other.fingerprint

    def require(self, other: Space, *, what: str) -> None:
        """Refuse ``other`` unless its vectors may be compared with this space's.

        Raises:
            SpaceMismatch: width or fingerprint differ; the message names both spaces and ``what``.
        """
        if not self.same_as(other):
            raise SpaceMismatch(
                f"{what} is in the space {other} but the collection is in {self}; "
                f"use the collection's own encoder, or build another collection"
            )

    def prefix(self, dim: int) -> Space:
        """Return the space of the first ``dim`` components, normalised on their own; a prefix of a prefix is that prefix.

        Raises:
            OptionError: ``dim`` is not in the nesting (nor the full width).
        """
        if dim == self.dim:
            return self
        if dim not in self.nesting:
            known = ", ".join(map(str, self.nesting)) or (
                "none: its encoder was not trained for truncation, so its first components alone rank badly; "
                "`build_index(truncate_dim=…)` fits a rotation that makes them rank well"
            )
            raise OptionError(f"{dim} is no prefix width of {self.name} (valid prefixes: {known})")
        return replace(
            self,
            name=f"{_SLICE.sub('', self.name)}[:{dim}]",
            dim=dim,
            fingerprint=f"{_SLICE.sub('', self.fingerprint)}[:{dim}]",
            nesting=tuple(width for width in self.nesting if width <= dim),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that the manifest keeps."""
        return {
            "name": self.name,
            "dim": self.dim,
            "fingerprint": self.fingerprint,
            "nesting": list(self.nesting),
        }

    @classmethod
    def from_json(cls, data: Any) -> Space:
        """Parse what `to_json` wrote.

        Raises:
            StoreCorrupt: a field is missing or of the wrong type.
        """
        try:
            return cls(
                name=str(data["name"]),
                dim=int(data["dim"]),
                fingerprint=str(data["fingerprint"]),
                nesting=tuple(int(width) for width in data["nesting"]),
            )
        except (TypeError, KeyError, ValueError) as error:
            raise StoreCorrupt(f"manifest: the space is not readable ({error!r})") from error

    def __str__(self) -> str:
        return f"{self.name} ({self.dim}-d, {self.fingerprint[:12]})"
