"""The table of the Matryoshka paper, small: 1-NN accuracy by width, nested training against every way to cut without it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame import Spread, spread
from benchmarks.matryoshka.data import SETS, WIDTHS, Data, Floats, note
from benchmarks.matryoshka.tables import PAPER, Row, Table, lines_of, minus, pca, points, shown
from benchmarks.matryoshka.towers import (
    Budget,
    Photographs,
    Upper,
    contender,
    embed,
    middle,
    taught,
    teacher_targets,
)
from indexes.derivation.construction import rotations
from indexes.engine.lists.prefixes import head
from indexes.engine.scan.knn import knn_accuracy
from indexes.vectors.arrays import unit_rows
from indexes.vectors.transforms import Matrix
from retrieval.collection.rows import learn_rotation

FITTED = 6000
"""Training photographs that rotations are fitted on."""


def accuracy(
    data: Data, budget: Budget, separate: tuple[int, ...], *, seeds: int, most: int | None = None
) -> dict[str, Any]:
    """Make the table of 1-NN accuracies.

    What was trained and embedded is kept in the work folder, so that a run that is interrupted goes on where it was.

    Args:
        data: the photographs.
        budget: of each training.
        separate: widths to train contenders of their own for.
        seeds: repeats of every contender.
        most: labelled training photographs, and as many times three to fit rotations on; None for all.
    """
    began = time.perf_counter()
    train = np.flatnonzero(data.split == "train")
    targets = teacher_targets(data.features().astype(np.float32), train)
    photographs = Photographs(pixels=data.pixels, targets=targets, train=train)
    start = taught(photographs, budget, kept=data.work, note=note)
    labelled = train[data.labels[train] >= 0][:most]
    labels = np.unique(data.labels[labelled], return_inverse=True)[1].astype(np.int64)
    held = np.concatenate([data.held(group) for group in SETS])
    fitted = train[:: max(1, len(train) // FITTED)][: 3 * most if most else None]
    note(f"running the frozen stages on {len(labelled) + len(held) + len(fitted):,} photographs")
    views = tuple(
        middle(start, data.pixels, labelled, budget, mirrored=mirrored) for mirrored in (False, True)
    )
    seen = {
        name: middle(start, data.pixels, rows, budget) for name, rows in (("held", held), ("fitted", fitted))
    }
    names = ("nested", "plain", *(f"separate {width}" for width in separate))
    vectors: dict[str, list[dict[str, Floats]]] = {"start": [_vectors(Upper(start), seen)]}
    for name in names:
        for seed in range(seeds):
            path = data.work / f"{name.replace(' ', '-')}-{seed}-{budget.name}-{len(labelled)}.npz"
            if not path.exists():
                note(f"{name}, repeat {seed + 1} of {seeds}: {budget.samples:,} samples")
                upper = contender(start, name, views, labels, budget, seed=seed, note=note)
                partial = path.with_name(f"partial-{path.name}")
                np.savez(partial, **_vectors(upper, seen))
                partial.replace(path)
            with np.load(path, allow_pickle=False) as arrays:
                vectors.setdefault(name, []).append({part: arrays[part] for part in arrays.files})
    minutes = (time.perf_counter() - began) / 60
    table = _table(data, vectors, held, targets, fitted, separate)
    return {
        "photographs": {group: len(data.held(group)) for group in SETS},
        "classes": {group: len(np.unique(data.labels[data.held(group)])) for group in SETS},
        "trained_on": {"start": len(train), "contenders": len(labelled), "classes": int(labels.max()) + 1},
        "budget": {
            name: getattr(budget, name)
            for name in ("start_samples", "samples", "batch", "side", "rate", "threads")
        },
        "repeats": seeds,
        "minutes_of_training_this_run": round(minutes, 1),
        "space": f"{data.encoder.space.name} {data.encoder.space.fingerprint[:12]}",
        "accuracy": table,
        "nested_minus": _gains(table),
    }


def _vectors(upper: Upper, seen: Mapping[str, Any]) -> dict[str, Floats]:
    return {part: embed(upper, rows) for part, rows in seen.items()}


def _table(
    data: Data,
    vectors: Mapping[str, list[dict[str, Floats]]],
    held: NDArray[np.int64],
    targets: Floats,
    fitted: NDArray[np.int64],
    separate: tuple[int, ...],
) -> Table:
    """Cut every contender's vectors in every way, and look for each photograph's nearest other."""
    turns = [pca(one["fitted"]).matrix for one in vectors["plain"]]
    short = tuple(width for width in WIDTHS if width <= rotations.LEARNED_DIM)
    note("learning the rotations")
    learned = [
        learn_rotation(unit_rows(one["fitted"]), short, turn)
        for one, turn in zip(vectors["plain"], turns, strict=True)
    ]
    start_turn = pca(vectors["start"][0]["fitted"]).matrix
    teacher_turn = pca(targets[fitted]).matrix
    where = np.split(np.arange(len(held)), np.cumsum([len(data.held(group)) for group in SETS])[:-1])
    table: Table = {}
    for group, places in zip(SETS, where, strict=True):
        rows = data.held(group)
        truth = data.labels[rows]
        of = {name: [unit_rows(one["held"][places]) for one in some] for name, some in vectors.items()}
        plain = of["plain"]
        table[group] = {
            "nested": _over([_row(one, truth) for one in of["nested"]]),
            "plain, PCA": _over([_row(one, truth, turn) for one, turn in zip(plain, turns, strict=True)]),
            "plain, learned rotation": _over(
                [
                    _row(one, truth, turn, short)
                    for one, turn in zip(plain, learned, strict=True)
                    if turn is not None
                ]
            ),
            "plain, first": _over([_row(one, truth) for one in plain]),
            "plain, random": _over([_random(one, truth) for one in plain]),
            "separate": {
                width: value
                for width in separate
                for value in _over(
                    [_row(one, truth, None, (width,)) for one in of[f"separate {width}"]]
                ).values()
            },
            "nano (shipped)": _over([_row(data.vectors(rows, f"held-{group}"), truth)]),
            "teacher, PCA": _over([_row(targets[rows], truth, teacher_turn)]),
            "start (no labels), PCA": _over([_row(of["start"][0], truth, start_turn)]),
        }
        note(f"{group}: " + "; ".join(f"{name} {shown(row)}" for name, row in table[group].items()))
    return table


def _row(
    rows: Floats, labels: NDArray[np.int64], turn: Matrix | None = None, widths: tuple[int, ...] = WIDTHS
) -> Row:
    """Return the leave-one-out 1-NN accuracy at each width."""
    return {width: _nn(head(rows, width, rotation=turn), labels) for width in widths}


def _random(rows: Floats, labels: NDArray[np.int64]) -> Row:
    """Return the same at random dimensions, the mean over five choices."""
    found = {}
    for width in WIDTHS:
        choices = [np.random.default_rng(seed).permutation(rows.shape[1])[:width] for seed in range(5)]
        found[width] = float(np.mean([_nn(head(rows[:, chosen], width), labels) for chosen in choices]))
    return found


def _nn(rows: Floats, labels: NDArray[np.int64]) -> float:
    return round(knn_accuracy(rows.astype(np.float16), labels), 4)


def _over(repeats: list[Row]) -> dict[int, Spread]:
    """Gather the repeats of one contender, width by width; nothing where there are none."""
    return {width: spread([row[width] for row in repeats]) for width in (repeats[0] if repeats else ())}


def _gains(table: Table) -> dict[str, dict[str, dict[int, Spread]]]:
    """Return what nesting gains over each other way, repeat by repeat."""
    others = ("plain, PCA", "plain, learned rotation", "plain, first", "plain, random", "separate")
    return {
        group: {other: minus(rows["nested"], rows[other]) for other in others}
        for group, rows in table.items()
    }


def write_table(facts: dict[str, Any], path: Path) -> None:
    """Write the table for people, in percent: the median over the repeats, and from the least to the greatest."""
    repeats, budget = facts["repeats"], facts["budget"]
    how = (
        f"Leave-one-out among photographs that no training saw; percent, median of {repeats} repeats (least to greatest). Every "
        f"contender has nano's architecture and was trained on {facts['trained_on']['contenders']:,} photographs of "
        f"{facts['trained_on']['classes']} classes for {budget['samples']:,} samples at {budget['side']} pixels, from one start that "
        f"a teacher taught without labels for {budget['start_samples']:,}; only the last stage and the head go on from there "
        "(`benchmarks/matryoshka/towers.py`). `python -m benchmarks.bench_matryoshka --parts accuracy`; all values in "
        "`matryoshka_accuracy.json`."
    )
    relation = (
        "That is less than one epoch with labels: too little for them to shape the space, so that what the start was taught decides "
        "the table. `matryoshka_heads.md` has the same contenders trained for longer, as heads on frozen features."
    )
    lines = ["# 1-NN accuracy by width, nested training against cutting without it", "", how, "", relation]
    for group, rows in facts["accuracy"].items():
        title = f"## {group}: {facts['photographs'][group]:,} photographs, {facts['classes'][group]} classes"
        lines += ["", title, "", *lines_of(rows, WIDTHS, facts["nested_minus"][group]["plain, PCA"])]
    path.write_text("\n".join([*lines, "", PAPER]) + "\n", encoding="utf-8")


def readme_row(facts: dict[str, Any]) -> str:
    """Return the line for the README's table of measurements."""
    found = "; ".join(
        f"{group} {' / '.join(points(rows['plain, PCA'][width]) for width in (16, 32, 64))}"
        for group, rows in facts["nested_minus"].items()
    )
    return (
        f"| 1-NN accuracy of {'/'.join(map(str, (16, 32, 64)))} of 256 dimensions, nano's architecture trained nested against trained "
        f"plainly and cut by PCA, {facts['repeats']} repeats, points | {found} | `matryoshka_accuracy.json`, `.md`, "
        "`python -m benchmarks.bench_matryoshka --parts accuracy` |"
    )
