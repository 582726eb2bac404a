"""Read what a collection's upgrades were measured to do, and plot the backfill curve."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from indexes.generation import read_whole_manifest
from indexes.vectors import compatibility
from retrieval.collection import encoded_so_far
from retrieval.errors import OptionError
from retrieval.evaluation import figure
from retrieval.location import find_whole
from retrieval.upgrades.start import REENCODE, UNMEASURED


def upgrade_report(path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Return what ``retrieve upgrade report --json`` prints.

    The contract's object of the last upgrade, and with it:

    - ``encoders``: every one that the collection has seen, in order;
    - ``matrix``: rows are the encoder of queries, columns that of the gallery; None where it was not measured, which is so
      above the diagonal: nobody asks a new gallery with an old encoder; all are None where there were too few images;
    - ``unmeasured``: ``query``, ``gallery`` and ``why`` for each None below it;
    - ``ac``, ``am``: share of cross-tests that reach the gallery's own self-test, and mean of the lower triangle;
    - ``gain``: the update gain of the chosen method; None where there is none to have, or nothing was measured;
    - ``encoded_so_far``: images that the new encoder has encoded, those among them that do not answer by that yet;
    - ``curve``: ``share``, ``random`` (quality when so much is encoded again, in random order) and its mean height ``area_random``;
      two empty lists and None where nothing was measured.

    Raises:
        OptionError: the collection has never been upgraded.
    """
    directory = find_whole(path, what="`upgrade_report`")
    upgrades = read_whole_manifest(directory).upgrades
    if not upgrades:
        raise OptionError(f"{directory} has never been upgraded; begin with `upgrade(encoder=SPEC)`")
    from retrieval.upgrades.record import UpgradeReport

    last = upgrades[-1]
    names, matrix = compatibility_matrix(upgrades)
    ac, am = compatibility(matrix)
    chosen = _chosen(last)
    return UpgradeReport.of(last).to_json() | {
        "encoders": names,
        "matrix": [
            [None if math.isnan(value) else round(float(value), 6) for value in row] for row in matrix
        ],
        "unmeasured": _unmeasured(upgrades, names, matrix),
        "ac": ac,
        "am": None if am is None else round(am, 6),
        "gain": chosen.get("gain"),
        "regression_rate": chosen.get("regression_rate"),
        "encoded_so_far": encoded_so_far(last),
        "curve": last["curve"],
    }


def _chosen(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what was measured of the chosen method; nothing is gained or lost while the old encoder answers."""
    methods: list[Mapping[str, Any]] = entry["methods"]
    if entry["method"] == REENCODE and methods:
        best = max(methods, key=lambda method: float(method["new_old"]))
        return dict(best) | {"gain": 0.0, "regression_rate": 0.0}
    found: Mapping[str, Any] = next((method for method in methods if method["method"] == entry["method"]), {})
    return found


def compatibility_matrix(upgrades: tuple[Mapping[str, Any], ...]) -> tuple[list[str], Any]:
    """Return the encoders in the order in which they came, and ``(t, t)`` qualities, NaN where nothing was measured.

    Each upgrade measured the three entries of its two encoders, on its own sample, and new queries against what was kept
    of earlier galleries; a later measurement replaces an earlier one.
    """
    names: list[str] = []
    for entry in upgrades:
        for name in (entry["old"] or entry["old_space"]["name"], entry["new"]):
            if name not in names:
                names.append(name)
    matrix = np.full((len(names), len(names)), np.nan)
    for entry in upgrades:
        old, new = names.index(entry["old"] or entry["old_space"]["name"]), names.index(entry["new"])
        chosen = _chosen(entry)
        if not chosen or new == old:
            continue
        matrix[old, old] = chosen["old_old"]
        matrix[new, new] = chosen["new_new"]
        matrix[new, old] = chosen["new_old"]
        for known in entry.get("earlier", ()):
            if "new_old" in known and known["gallery"] in names:
                matrix[new, names.index(known["gallery"])] = known["new_old"]
    return names, matrix


def _unmeasured(
    upgrades: tuple[Mapping[str, Any], ...], names: list[str], matrix: Any
) -> list[dict[str, str]]:
    """Say of each entry below the diagonal why it is missing."""
    why = {
        (entry["new"], known["gallery"]): known["why"]
        for entry in upgrades
        for known in entry.get("earlier", ())
        if "why" in known
    }
    return [
        {
            "query": names[new],
            "gallery": names[old],
            "why": why.get(
                (names[new], names[old]), "there were no vectors of both when one was upgraded to"
            ),
        }
        for new in range(len(names))
        for old in range(new)
        if math.isnan(matrix[new, old])
    ]


def plot_curve(report: Mapping[str, Any], target: str | os.PathLike[str]) -> None:
    """Draw a report's backfill curve into a file; its suffix decides the form.

    Raises:
        MissingExtra: matplotlib is not installed.
        OptionError: another suffix than ``.svg``, ``.png`` or ``.pdf``, no such folder, or it cannot be written; or there were too
            few images to measure a curve on.
    """
    curve = report["curve"]
    if report["measure"] == UNMEASURED:
        raise OptionError(
            f"the upgrade from {report['old']} to {report['new']} has no curve to draw: there were too few images to measure on"
        )
    share = np.array(curve["share"]) * 100
    chosen = _chosen(report)
    total = report["backfilled"] + report["remaining"]
    measure = "1-NN accuracy" if report["measure"] == "labels" else "recall@1 of altered views"
    with figure(target, width=6, height=4, panels=1) as (axes,):
        axes.plot(share, curve["random"], marker="o", label=f"mean {curve['area_random']:.3f}")
        if chosen:
            axes.axhline(chosen["old_old"], color="grey", linestyle=":", label=f"{report['old']} throughout")
        if total and report["state"] == "migrating":
            axes.axvline(100 * report["backfilled"] / total, color="grey", linewidth=0.8, label="now")
        axes.set(
            xlabel="gallery encoded again (%)", ylabel=measure, title=f"{report['old']} → {report['new']}"
        )
        axes.legend()
