"""Fit how costs grow with the rows: the exponent of a power law, and the interval that repeats and sizes leave for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A cost as ``factor * rows ** exponent``.

    Attributes:
        exponent: 1 where the cost grows as the rows do.
        low, high: the interval of 95 % for the exponent; from two sizes alone nobody knows one, and both are the exponent.
        factor: what one row would cost.
        sizes: how many sizes it was fitted to.
    """

    exponent: float
    low: float
    high: float
    factor: float
    sizes: int

    def at(self, rows: float) -> float:
        """Return the cost of so many rows."""
        return float(self.factor * rows**self.exponent)


def fit(rows: Sequence[float], cost: Sequence[float]) -> Growth | None:
    """Fit a power law by least squares on logarithms; None for less than two sizes, or a cost that is nothing."""
    if len(set(rows)) < 2 or min(cost) <= 0:
        return None
    x, y = np.log(np.asarray(rows, float)), np.log(np.asarray(cost, float))
    slope, level = np.polyfit(x, y, 1)
    spread = 0.0
    if len(rows) > 2:
        residual = y - slope * x - level
        error = float(np.sqrt((residual**2).sum() / (len(x) - 2) / ((x - x.mean()) ** 2).sum()))
        spread = _t95(len(x) - 2) * error
    return Growth(
        exponent=round(float(slope), 3),
        low=round(float(slope) - spread, 3),
        high=round(float(slope) + spread, 3),
        factor=float(np.exp(level)),
        sizes=len(set(rows)),
    )


def _t95(freedom: int) -> float:
    """Return Student's t for 95 %, two-sided: exact for one and two degrees of freedom, Cornish and Fisher's series beyond."""
    if freedom < 3:
        return {1: 12.706, 2: 4.303}[freedom]
    z = NormalDist().inv_cdf(0.975)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


COSTS: Mapping[str, tuple[tuple[str, ...], float]] = {
    "build, CPU seconds": (("one", "build", "cpu_s"), 1.10),
    "build without exact truth, CPU seconds": (("one", "build_without_truth"), 1.10),
    "build, bytes written": (("one", "build", "bytes_written"), 1.05),
    "build, anonymous MiB": (("one", "build", "peak_anonymous_mib"), 1.05),
    "disk, bytes": (("one", "disk_bytes"), 1.05),
    "one query, counted microseconds": (("one", "ask", "counted", "microseconds"), 0.6),
    "one query, codes read": (("one", "ask", "counted", "codes"), 0.6),
    "one query, CPU ms": (("one", "ask", "single", "cpu_ms"), 0.6),
    "a query of a batch, CPU ms": (("one", "ask", "batch_cpu_ms"), 0.6),
    "searching, anonymous MiB": (("one", "ask", "peak_anonymous_mib"), 1.05),
    "adding 1 %, CPU seconds": (("one", "add_cpu_s"), 1.05),
    "adding 1 %, bytes written": (("one", "add_bytes"), 1.05),
    "deleting 1 %, CPU seconds": (("deletes", "cpu_s"), 1.05),
    "deleting 1 %, bytes written": (("deletes", "bytes_written"), 1.05),
    "unchanged source, CPU seconds": (("listing", "cpu_s"), 1.05),
    "unchanged source, anonymous MiB": (("listing", "peak_anonymous_mib"), 1.05),
}
"""Each cost, where it is found, and the greatest exponent asked for."""


def fits(sizes: Mapping[str, Mapping[str, Any]]) -> dict[str, Growth]:
    """Fit each cost over the sizes that were measured.

    Args:
        sizes: by the rows as text, what each part returned by its name.
    """
    found = {}
    sizes = of_this_version(sizes)
    for name, (path, _) in COSTS.items():
        points = [
            (float(rows), value) for rows, parts in sizes.items() if (value := _at(parts, path)) is not None
        ]
        growth = fit([rows for rows, _ in points], [value for _, value in points]) if points else None
        if growth is not None:
            found[name] = growth
    return found


def of_this_version(sizes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Leave out the parts that another version or machine measured than that of the newest, if any says which it was."""
    newest = max(
        (part["by"]["at"] for parts in sizes.values() for part in parts.values() if "by" in part),
        default=None,
    )
    if newest is None:
        return {rows: dict(parts) for rows, parts in sizes.items()}
    cpu = next(
        part["by"]["cpu"]
        for parts in sizes.values()
        for part in parts.values()
        if "by" in part and part["by"]["at"] == newest
    )
    return {
        rows: {name: part for name, part in parts.items() if part.get("by", {}).get("cpu") == cpu}
        for rows, parts in sizes.items()
    }


def _at(parts: Mapping[str, Any], path: Sequence[str]) -> float | None:
    """Return a figure of a size; the sums and means that no part has itself are made here."""
    part = parts.get(path[0])
    if part is None:
        return None
    made = _means(path[0], part)
    value: Any = made.get(path[1]) if len(path) == 2 and path[1] in made else part
    if value is part:
        for name in path[1:]:
            value = value.get(name) if isinstance(value, Mapping) else None
    return None if value is None else float(value)


def _means(name: str, part: Mapping[str, Any]) -> dict[str, float]:
    if name == "listing":
        runs = part["unchanged"]
        return {
            key: float(np.median([run[key] for run in runs]))
            for key in ("cpu_s", "wall_s", "peak_anonymous_mib")
        }
    if name == "deletes":
        return {
            key: float(np.median([one[key] for one in part["deletes"]])) for key in ("cpu_s", "bytes_written")
        }
    found = {"disk_bytes": part["disk_bytes_a_row"] * part["rows"]}
    if "truth_cpu_s" in part["build"]:
        found["build_without_truth"] = part["build"]["cpu_s"] - part["build"]["truth_cpu_s"]
    if "change" in part:
        adds = part["change"]["adds"]
        found["add_cpu_s"] = float(np.mean([add["cpu_s"] for add in adds]))
        found["add_bytes"] = float(np.mean([add["bytes_written"] for add in adds]))
    return found
