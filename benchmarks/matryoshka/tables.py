"""What both tables of 1-NN accuracy by width share: how plain vectors are cut, what nesting gains, and how numbers are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from benchmarks.frame import Spread, spread
from benchmarks.matryoshka.data import Floats
from indexes.vectors import transforms
from indexes.vectors.space import Space
from indexes.vectors.transforms import Transform

Row: TypeAlias = dict[int, float]
Table: TypeAlias = dict[str, dict[str, dict[int, Spread]]]
"""By collection or test, contender and width: the accuracy over the repeats."""

PAPER = (
    "The paper's table (Kusupati et al. 2022, ImageNet-1K, ResNet-50, 2048 dimensions; as quoted by later work), nested / SVD / "
    "random dimensions: 16: 67.9 / 46.0 / 12.1; 32: 69.5 / 60.8 / 32.9; 64: 70.2 / 67.0 / 49.9; 128: 70.5 / 69.6 / 60.9; "
    "256: 70.6 / 70.7 / 65.8."
)


def pca(rows: Floats) -> Transform:
    """Fit the rotation that plain vectors are cut with."""
    return transforms.pca(Space(name="plain", dim=rows.shape[1], fingerprint="plain"), rows)


def minus(one: Mapping[int, Spread], other: Mapping[int, Spread]) -> dict[int, Spread]:
    """Return by how much ``one`` is better at the widths of ``other``, repeat by repeat."""
    return {
        width: spread([round(a - b, 4) for a, b in zip(one[width].values, row.values, strict=True)])
        for width, row in other.items()
    }


def lines_of(
    rows: Mapping[str, Mapping[int, Spread]], widths: Sequence[int], gains: Mapping[int, Spread]
) -> list[str]:
    """Return one table in Markdown: a contender a line, and ``gains``, those of nesting over plain cut by PCA."""
    return [
        *header(widths),
        *(
            f"| {name} | " + " | ".join(cell(row.get(width)) for width in widths) + " |"
            for name, row in rows.items()
        ),
        "| *nested minus plain, PCA* | " + " | ".join(points(gains[width]) for width in widths) + " |",
    ]


def header(widths: Sequence[int]) -> list[str]:
    """Return the first two lines of a table by width."""
    return ["| | " + " | ".join(map(str, widths)) + " |", "|---|" + "---|" * len(widths)]


def shown(row: Mapping[int, Spread]) -> str:
    """Show medians on one line, in percent."""
    return ", ".join(f"{width}: {100 * value.median:.1f}" for width, value in row.items())


def cell(value: Spread | None) -> str:
    """Show a share in percent: the median, and from the least to the greatest where there are repeats."""
    if value is None:
        return "–"
    middle = f"{100 * value.median:.1f}"
    return middle if len(value.values) == 1 else f"{middle} ({100 * value.min:.1f} to {100 * value.max:.1f})"


def points(value: Spread) -> str:
    """Show a difference in points: the median, and from the least to the greatest."""
    return f"{100 * value.median:+.1f} ({100 * value.min:+.1f} to {100 * value.max:+.1f})"
