"""The figures of `bench_matryoshka`, one a part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.matryoshka.data import WIDTHS
from retrieval.evaluation import plots

COLOURS = (
    "tab:blue",
    "tab:green",
    "tab:orange",
    "tab:red",
    "tab:gray",
    "tab:purple",
    "tab:brown",
    "tab:pink",
    "tab:olive",
)


def draw_accuracy(facts: dict[str, Any], path: Path) -> None:
    """Draw accuracy against width, a panel a collection: the median of the repeats, with the least and the greatest."""
    groups = facts["accuracy"]
    with plots.figure(path, width=4.2 * len(groups), height=3.8, panels=len(groups)) as panels:
        for axes, (group, rows) in zip(panels, groups.items(), strict=True):
            for colour, (name, row) in zip(COLOURS, list(rows.items())[: len(COLOURS)], strict=False):
                _with_spread(axes, row, colour, name)
            _by_width(axes)
            axes.set_title(
                f"{group}: {facts['photographs'][group]} photographs, {facts['classes'][group]} classes",
                fontsize=9,
            )
            axes.set_xlabel("dimensions")
            axes.set_ylabel("1-NN accuracy, %")
            axes.grid(alpha=0.3)
        panels[0].legend(fontsize=7)


def draw_heads(facts: dict[str, Any], path: Path) -> None:
    """Draw accuracy against width for some tests, and what nesting gains against width by the number of classes."""
    shown = {
        test: facts["accuracy"][test]
        for test in (
            "trained classes: all",
            "trained classes: caltech101",
            "other classes: caltech101",
            "other classes: clothing",
        )
    }
    with plots.figure(path, width=18, height=4, panels=len(shown) + 1) as panels:
        for axes, (test, rows) in zip(panels, shown.items(), strict=False):
            for colour, (name, row) in zip(COLOURS, rows.items(), strict=False):
                _with_spread(axes, row, colour, name)
            axes.set_title(f"{test} ({facts['tests'][test]:,} photographs)", fontsize=9)
            axes.set_ylabel("1-NN accuracy, %")
        for colour, (count, ways) in zip(COLOURS, facts["by_classes"].items(), strict=False):
            _with_spread(panels[-1], ways["nested minus plain, PCA"], colour, f"{count} classes")
        panels[-1].axhline(0, color="gray", linewidth=0.8)
        panels[-1].set_title("trained classes, by their number", fontsize=9)
        panels[-1].set_ylabel("nested minus plain cut by PCA, points")
        for axes in panels:
            _by_width(axes, tuple(facts["plain_energy"]))
            axes.set_xlabel("dimensions")
            axes.grid(alpha=0.3)
        panels[0].legend(fontsize=7)
        panels[-1].legend(fontsize=7)


def draw_funnel(facts: dict[str, Any], path: Path) -> None:
    """Draw top-1 agreement against speed."""
    with plots.figure(path, width=9, height=3.8, panels=2) as panels:
        for axes, key in zip(panels, ("single: exact over this", "batch: exact over this"), strict=True):
            for colour, (name, row) in zip(COLOURS, facts["plans"].items(), strict=False):
                took = row[key]
                axes.errorbar(
                    took.median, 100 * row["top1_agreement"],
                    xerr=[[took.median - took.min], [took.max - took.median]], fmt="o", color=colour, label=name,
                )  # fmt: skip
            axes.axhline(99, color="gray", linewidth=0.8, linestyle="--")
            axes.set_xscale("log")
            axes.set_xlabel(f"{key.split(':')[0]}: times as fast as exact search")
            axes.set_ylabel("top-1 agreement, %")
            axes.grid(alpha=0.3)
        panels[0].legend(fontsize=7)


def draw_codes(facts: dict[str, Any], path: Path) -> None:
    """Draw accuracy against the prefix that the codes describe."""
    with plots.figure(path, width=5.5, height=3.8, panels=1) as (axes,):
        for colour, (name, row) in zip(COLOURS, facts["codes"].items(), strict=False):
            _with_spread(axes, row["accuracy"], colour, name)
        axes.axhline(
            100 * facts["exact_accuracy"], color="gray", linestyle="--", linewidth=0.8, label="no codes"
        )
        _by_width(axes)
        axes.set_xlabel("components that the codes describe")
        axes.set_ylabel("1-NN accuracy, %")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)


def _with_spread(axes: Any, row: dict[int, Any], colour: str, name: str) -> None:
    """Draw one line of percentages: medians, and how far the repeats lie."""
    middle, low, high = (
        np.array([100 * getattr(value, part) for value in row.values()]) for part in ("median", "min", "max")
    )
    error = [middle - low, high - middle]
    axes.errorbar(list(row), middle, yerr=error, fmt="o-", color=colour, label=name, markersize=4, capsize=2)


def _by_width(axes: Any, widths: tuple[int, ...] = WIDTHS) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [str(width) for width in widths])
