"""The table of the Matryoshka paper on frozen features, with heads that labels have time to shape.

`accuracy` trains towers and can afford little of it; here only a perceptron learns (`frozen`), for up to
24 epochs, each contender with what suits it (`trials`).

Two kinds of test. *Trained classes*, as in the paper: held-out photographs look for their nearest among all that were
trained on. *Other classes*, as users of retrieval meet them: classes and a collection that no training saw, leave one out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame import Spread, spread
from benchmarks.matryoshka.data import Data, Floats, note
from benchmarks.matryoshka.frozen import BATCH, FEATURES, HIDDEN, NESTING, Setting
from benchmarks.matryoshka.tables import (
    PAPER,
    Row,
    Table,
    header,
    lines_of,
    minus,
    pca,
    points,
    shown,
)
from benchmarks.matryoshka.trials import CHOSEN_AT, EPOCHS, Labels, Trials, choose, hits
from indexes.derivation.construction import rotations
from indexes.engine.lists.prefixes import head
from indexes.vectors.arrays import unit_rows
from indexes.vectors.transforms import Matrix
from retrieval.collection.rows import learn_rotation
from tools.train_nano.measure import nearest_accuracy

SEPARATE = (8, 16, 32)
GROUPS = ("caltech101", "imagenette", "groceries", "cats_dogs")
FEW = (10, 100)
LEAST_TRAINED, LEAST_HELD = 30, 3
"""Photographs that a class needs to be drawn where there are few classes."""


def heads(
    data: Data, *, seeds: int, few_seeds: int = 2, most: int = 60, small: bool = False
) -> dict[str, Any]:
    """Choose settings, train every contender and measure it.

    Args:
        data: the photographs.
        seeds: repeats of every contender.
        few_seeds: repeats with fewer classes.
        most: training photographs a class.
        small: train next to nothing, to try it.
    """
    trials = Trials(data, most=most, epochs=(1, 2) if small else EPOCHS)
    chosen, tried = choose(trials)
    separate = {f"separate {width}": chosen[f"separate {CHOSEN_AT}"] for width in SEPARATE}
    settings = {name: chosen[name] for name in ("nested", "nested, shared", "plain")} | separate
    if chosen["plain for its full width"] != chosen["plain"]:
        settings["plain for its full width"] = chosen["plain for its full width"]
    vectors: dict[str, list[dict[str, Floats]]] = {name: [] for name in settings}
    for seed in range(seeds):
        for name, setting in settings.items():
            vectors[name].append(trials.vectors(name, setting, seed=seed))
    table = _table(trials, vectors)
    return {
        "photographs": {
            "trained_on": len(trials.trained),
            "held": len(trials.held),
            "other": len(trials.other),
        },
        "classes": {
            "trained_on": int(trials.lesson.labels.max()) + 1,
            "other": len(np.unique(data.labels[trials.other])),
        },
        "tests": {name: len(rows) for name, rows in _tests(trials).items()},
        "repeats": seeds,
        "features_energy": round(trials.reduced.energy, 4),
        "chosen": {name: asdict(setting) for name, setting in chosen.items()},
        "tried": tried,
        "accuracy": table,
        "nested_minus": _gains(table),
        "plain_energy": _energy(vectors["plain"]),
        "by_classes": _by_classes(trials, chosen, table, seeds=few_seeds),
    }


def _tests(trials: Trials) -> dict[str, NDArray[np.int64]]:
    """Return the places of each test's photographs among those held, or among the others."""
    held, other = trials.data.group[trials.held], trials.data.group[trials.other]
    return (
        {"trained classes: all": np.arange(len(held))}
        | {f"trained classes: {group}": np.flatnonzero(held == group) for group in GROUPS}
        | {f"other classes: {group}": np.flatnonzero(other == group) for group in sorted(set(other))}
    )


def _rows(
    trials: Trials, one: Mapping[str, Floats], turn: Matrix | None, widths: tuple[int, ...]
) -> dict[str, Row]:
    """Return a model's accuracy at each width in each test; over all trained classes the mean over classes."""
    labels = trials.data.labels
    truth = labels[trials.held]
    right = hits(one["held"], one["gallery"], labels[trials.trained], truth, turn, widths)
    made: dict[str, Row] = {}
    for name, places in _tests(trials).items():
        if name == "trained classes: all":
            made[name] = {width: _by_class(found, truth) for width, found in right.items()}
        elif name.startswith("trained"):
            made[name] = {width: float(found[places].mean()) for width, found in right.items()}
        else:
            mine = labels[trials.other[places]]
            made[name] = {
                width: nearest_accuracy(head(one["other"][places], width, rotation=turn), mine)
                for width in widths
            }
    return made


def _by_class(found: NDArray[np.bool_], labels: Labels) -> float:
    """Return the mean over classes of the share of hits."""
    number = np.unique(labels, return_inverse=True)[1]
    return float((np.bincount(number, found) / np.bincount(number)).mean())


def _random(width: int) -> list[Matrix]:
    """Return three orders of the components, as rotations."""
    eye = np.eye(width, dtype=np.float32)
    return [eye[:, np.random.default_rng(seed).permutation(width)] for seed in range(3)]


def _table(trials: Trials, vectors: Mapping[str, list[dict[str, Floats]]]) -> Table:
    """Cut every contender in every way and measure it in every test."""
    rows: dict[str, list[dict[str, Row]]] = {
        name: [_rows(trials, one, None, NESTING) for one in vectors[name]]
        for name in ("nested", "nested, shared")
    }
    for one in vectors["plain"]:
        for way, found in _cuts(trials, one).items():
            rows.setdefault(f"plain, {way}", []).append(found)
    if "plain for its full width" in vectors:
        rows["plain for its full width, PCA"] = [
            _rows(trials, one, pca(one["gallery"]).matrix, NESTING)
            for one in vectors["plain for its full width"]
        ]
    parts = [
        [_rows(trials, one, None, (width,)) for one in vectors[f"separate {width}"]] for width in SEPARATE
    ]
    rows["separate"] = [
        {test: {w: v for part in same for w, v in part[test].items()} for test in same[0]}
        for same in zip(*parts, strict=True)
    ]
    features = {part: unit_rows(seen) for part, seen in trials.seen.items()}
    rows["frozen features, PCA"] = [_rows(trials, features, pca(features["gallery"]).matrix, NESTING)]
    table: Table = {
        test: {name: _over([one[test] for one in some]) for name, some in rows.items()}
        for test in _tests(trials)
    }
    for test, contenders in table.items():
        for name, row in contenders.items():
            note(f"{test}: {name} {shown(row)}")
    return table


def _cuts(trials: Trials, one: Mapping[str, Floats]) -> dict[str, dict[str, Row]]:
    """Cut what was trained without nesting in every way."""
    short = tuple(width for width in NESTING if width <= rotations.LEARNED_DIM)
    turn = pca(one["gallery"]).matrix
    learned = learn_rotation(one["gallery"], short, turn)  # never None: heads are trained with torch
    drawn = [_rows(trials, one, order, NESTING) for order in _random(NESTING[-1])]
    return {
        "PCA": _rows(trials, one, turn, NESTING),
        "learned rotation": _rows(trials, one, learned, short),
        "first": _rows(trials, one, None, NESTING),
        "random": {
            test: {width: float(np.mean([rows[test][width] for rows in drawn])) for width in NESTING}
            for test in drawn[0]
        },
    }


def _over(repeats: list[Row]) -> dict[int, Spread]:
    return {width: spread([round(row[width], 4) for row in repeats]) for width in repeats[0]}


def _gains(table: Table) -> dict[str, dict[str, dict[int, Spread]]]:
    """Return what nesting gains over each other way, repeat by repeat."""
    return {
        test: {
            other: minus(rows["nested"], row)
            for other, row in rows.items()
            if other not in ("nested", "frozen features, PCA")
        }
        for test, rows in table.items()
    }


def _energy(plain: list[dict[str, Floats]]) -> dict[int, Spread]:
    """Return the share of the squared length of plain's training rows that the first principal directions hold."""
    held = [pca(one["gallery"]).facts["energy"] for one in plain]
    return {width: spread([float(energy[width - 1]) for energy in held]) for width in NESTING}


def _by_classes(
    trials: Trials, chosen: Mapping[str, Setting], table: Table, *, seeds: int
) -> dict[int, dict[str, dict[int, Spread]]]:
    """Train on fewer classes, for as many steps, and test on held-out photographs of those: mean over classes.

    Each repeat draws its own classes, among those with enough photographs.
    """
    labels = trials.data.labels
    trained, held = labels[trials.trained], labels[trials.held]
    enough = [
        label
        for label in np.unique(trained)
        if (trained == label).sum() >= LEAST_TRAINED and (held == label).sum() >= LEAST_HELD
    ]
    found: dict[int, dict[str, dict[int, Spread]]] = {}
    for count in FEW:
        rows: dict[str, list[Row]] = {"nested": [], "plain, PCA": []}
        for seed in range(seeds):
            drawn = np.random.default_rng((seed, count)).choice(enough, count, replace=False)
            mine, asking = np.flatnonzero(np.isin(trained, drawn)), np.flatnonzero(np.isin(held, drawn))
            for name, way in (("nested", "nested"), ("plain", "plain, PCA")):
                setting = chosen[name]
                steps = setting.epochs * (len(trials.trained) // BATCH)
                one = trials.vectors(
                    name, setting, seed=seed, given=trials.lesson.of(mine), tag=f"of-{count}", steps=steps
                )
                gallery = one["gallery"][mine]
                turn = pca(gallery).matrix if name == "plain" else None
                right = hits(one["held"][asking], gallery, trained[mine], held[asking], turn, NESTING)
                rows[way].append({width: _by_class(found, held[asking]) for width, found in right.items()})
        found[count] = {way: _over(some) for way, some in rows.items()}
    everything = table["trained classes: all"]
    found[len(np.unique(trained))] = {way: everything[way] for way in ("nested", "plain, PCA")}
    for ways in found.values():
        ways["nested minus plain, PCA"] = minus(ways["nested"], ways["plain, PCA"])
    return found


def write_table(facts: dict[str, Any], path: Path) -> None:
    """Write the tables for people, in percent: the median over the repeats, and from the least to the greatest."""
    photographs, classes = facts["photographs"], facts["classes"]
    how = (
        f"Percent, median of {facts['repeats']} repeats (least to greatest). Every contender is a perceptron ({FEATURES}, {HIDDEN}, "
        f"{NESTING[-1]}) on MobileNetV2's features, which stay as they are (their first {FEATURES} principal directions: "
        f"{100 * facts['features_energy']:.1f} % of the variance), trained by cross-entropy on {photographs['trained_on']:,} photographs of "
        f"{classes['trained_on']} classes and views of them. *Trained classes*: {photographs['held']:,} held-out photographs of these "
        "classes look for their nearest among those trained on, as in the paper; *all* is the mean over classes. *Other classes*: no "
        f"training saw these {classes['other']} classes; leave one out. Rate, decay and epochs are chosen for each contender alike on "
        "validation photographs, by the mean over the widths of what it is for: *plain*'s are the best for cutting it by PCA, *plain for "
        "its full width*'s the best at 256, as of somebody who does not think of cutting. The separate heads take the setting that is "
        f"best for one of {CHOSEN_AT}. `python -m benchmarks.bench_matryoshka --parts heads`; all values in `matryoshka_heads.json`."
    )
    if facts["chosen"]["plain"] == facts["chosen"]["plain for its full width"]:
        how += " *Plain* and *plain for its full width* came out the same."
    if all(setting["epochs"] == max(EPOCHS) for setting in facts["chosen"].values()):
        how += f" Every contender chose the most epochs that were tried, {max(EPOCHS)}: longer training might move the numbers on."
    relation = (
        "`matryoshka_accuracy.md` has the same contenders as towers of nano's architecture, trained from pixels for less than one "
        "epoch with labels: too little for the loss to shape the space, and there nesting loses. These heads show what the same "
        f"loss does in up to {max(EPOCHS)} epochs; towers trained that long have not been measured."
    )
    lines = [
        "# 1-NN accuracy by width after longer training: heads on frozen features",
        "",
        how,
        "",
        relation,
    ]
    for test, rows in facts["accuracy"].items():
        gains = facts["nested_minus"][test]["plain, PCA"]
        title = f"## {test} ({facts['tests'][test]:,} photographs)"
        lines += ["", title, "", *lines_of(rows, NESTING, gains)]
    lines += [
        "",
        "## By the number of trained classes",
        "",
        "Drawn anew for each repeat, two of 10 and of 100, as many steps of training; mean over classes, nested minus plain cut by PCA.",
        "",
        *header(NESTING),
    ]
    lines += [
        f"| {count} classes | {' | '.join(points(ways['nested minus plain, PCA'][width]) for width in NESTING)} |"
        for count, ways in facts["by_classes"].items()
    ]
    energy = [facts["plain_energy"][width] for width in NESTING]
    lines += [
        f"| *energy that plain's first directions hold, {classes['trained_on']} classes, %* | "
        + " | ".join(f"{100 * value.median:.0f}" for value in energy)
        + " |"
    ]
    lines += ["", "## Chosen", "", "| | rate | decay | epochs |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {setting['rate']:g} | {setting['decay']:g} | {setting['epochs']} |"
        for name, setting in facts["chosen"].items()
    ]
    path.write_text("\n".join([*lines, "", PAPER]) + "\n", encoding="utf-8")


def readme_row(facts: dict[str, Any]) -> str:
    """Return the line for the README's table of measurements."""
    shown = ("trained classes: all", "trained classes: caltech101", "other classes: caltech101")
    found = "; ".join(
        f"{test} "
        + " / ".join(points(facts["nested_minus"][test]["plain, PCA"][width]) for width in (8, 16, 32, 64))
        for test in shown
    )
    return (
        f"| the same of heads on frozen features, trained for up to {max(EPOCHS)} epochs, 8 / 16 / 32 / 64 of 256, {facts['repeats']} repeats, points | "
        f"{found} | `matryoshka_heads.json`, `.md`, `--parts heads` |"
    )
