"""The table of the Matryoshka paper on frozen features, with heads that are trained to the end.

`matryoshka_accuracy` trains towers and can afford little of it; here only a perceptron learns (`matryoshka_frozen`), for as long
as it gains. Rate, decay and epochs are chosen for each contender alike, by what it is for: 1-NN accuracy of validation
photographs, averaged over the widths of the table, cut as that contender is cut. ``plain`` therefore has the setting that is
best *for cutting by PCA*; ``plain for its full width`` the one of somebody who does not think of cutting, as in the paper.

Two kinds of test. *Trained classes*, as in the paper: held-out photographs look for their nearest among all that were
trained on. *Other classes*, as users of retrieval meet them: classes and a collection that no training saw, leave one out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.frame import Spread, spread
from benchmarks.matryoshka_accuracy import PAPER, cell, points
from benchmarks.matryoshka_data import Data, Floats, note
from benchmarks.matryoshka_frozen import (
    BATCH,
    FEATURES,
    HIDDEN,
    NESTING,
    Lesson,
    Setting,
    embed,
    lesson,
    reduce,
    train,
    training_rows,
    validation_places,
)
from indexes import rotate, transforms
from indexes.arrays import unit_rows
from indexes.prefixes import head
from indexes.space import Space
from indexes.transforms import Matrix
from retrieval.writing import learn_rotation

Labels: TypeAlias = NDArray[np.int64]
Row: TypeAlias = dict[int, float]
Table: TypeAlias = dict[str, dict[str, dict[int, Spread]]]
"""By test, contender and width: the accuracy over the repeats."""

RATES, DECAYS, EPOCHS = (4e-3, 1.6e-2, 6.4e-2), (0.05, 0.5), (8, 24)
"""What is tried: each rate with the first decay and few epochs, then the best rate with each decay, few and many epochs."""

SEPARATE = (8, 16, 32, 64)
CHOSEN_AT = 16
"""The width whose setting all separate heads use."""

GROUPS = ("caltech101", "imagenette", "groceries", "cats_dogs")
FEW = (10, 100)
LEAST_TRAINED, LEAST_HELD = 30, 3
"""Photographs that a class needs to be drawn where there are few classes."""


class Lab:
    """The photographs in the parts that training and tests see; settings and vectors are kept in the work folder."""

    def __init__(self, data: Data, *, most: int, epochs: tuple[int, int] = EPOCHS) -> None:
        torch.set_num_threads(1)
        self.data, self.epochs = data, epochs
        self.trained = training_rows(data, most=most)
        labelled = data.labels >= 0
        known = np.isin(data.labels, data.labels[self.trained])
        self.held = np.flatnonzero((data.split == "held") & labelled & known)
        self.other = np.flatnonzero((data.split == "unseen") & labelled)
        features = data.features()
        self.reduced = reduce(features[self.trained])
        self.lesson = lesson(data, self.trained, self.reduced)
        self.seen = {
            "gallery": np.ascontiguousarray(self.lesson.views[:, 0]),
            "held": self.reduced(features[self.held]),
            "other": self.reduced(features[self.other]),
        }
        self.kept = data.work / f"heads-{most}-{epochs[-1]}"
        self.kept.mkdir(parents=True, exist_ok=True)

    def vectors(
        self,
        name: str,
        setting: Setting,
        *,
        seed: int,
        given: Lesson | None = None,
        tag: str = "all",
        steps: int | None = None,
    ) -> dict[str, Floats]:
        """Train one contender and return unit rows of what tests need, or take those that were kept."""
        path = self.kept / f"{name}-{tag}-{seed}-{setting.name}.npz".replace(" ", "-")
        if not path.exists():
            note(f"{name} {tag}, repeat {seed + 1}: {setting}")
            trained = train(name, given or self.lesson, setting, seed=seed, steps=steps)
            made = {part: unit_rows(embed(trained, rows)) for part, rows in self.seen.items()}
            partial = path.with_name(f"partial-{path.name}")
            np.savez(partial, **{part: rows.astype(np.float16) for part, rows in made.items()})
            partial.replace(path)
        with np.load(path, allow_pickle=False) as arrays:
            return {part: arrays[part].astype(np.float32) for part in arrays.files}


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
    lab = Lab(data, most=most, epochs=(1, 2) if small else EPOCHS)
    chosen, tried = choose(lab)
    separate = {f"separate {width}": chosen[f"separate {CHOSEN_AT}"] for width in SEPARATE}
    settings = {name: chosen[name] for name in ("nested", "nested, shared", "plain")} | separate
    if chosen["plain for its full width"] != chosen["plain"]:
        settings["plain for its full width"] = chosen["plain for its full width"]
    vectors: dict[str, list[dict[str, Floats]]] = {name: [] for name in settings}
    for seed in range(seeds):
        for name, setting in settings.items():
            vectors[name].append(lab.vectors(name, setting, seed=seed))
    table = _table(lab, vectors)
    return {
        "photographs": {
            "trained_on": len(lab.trained),
            "held": len(lab.held),
            "other": len(lab.other),
        },
        "classes": {
            "trained_on": int(lab.lesson.labels.max()) + 1,
            "other": len(np.unique(data.labels[lab.other])),
        },
        "tests": {name: len(rows) for name, rows in _tests(lab).items()},
        "repeats": seeds,
        "features_energy": round(lab.reduced.energy, 4),
        "chosen": {name: asdict(setting) for name, setting in chosen.items()},
        "tried": tried,
        "accuracy": table,
        "nested_minus": _gains(table),
        "plain_energy": _energy(vectors["plain"]),
        "by_classes": _by_classes(lab, chosen, table, seeds=few_seeds),
    }


def choose(lab: Lab) -> tuple[dict[str, Setting], dict[str, list[dict[str, Any]]]]:
    """Choose each contender's setting on validation photographs; also return all that was tried."""
    chosen: dict[str, Setting] = {}
    tried: dict[str, list[dict[str, Any]]] = {}
    few, many = lab.epochs
    for name in ("nested", "nested, shared", "plain", f"separate {CHOSEN_AT}"):
        purposes = {name: _mean} | ({"plain for its full width": _last} if name == "plain" else {})
        found = [_tried(lab, name, Setting(rate=rate, decay=DECAYS[0], epochs=few)) for rate in RATES]
        for rate in sorted({max(found, key=score)["setting"]["rate"] for score in purposes.values()}):
            found += [
                _tried(lab, name, Setting(rate=rate, decay=decay, epochs=epochs))
                for decay, epochs in ((DECAYS[1], few), (DECAYS[0], many), (DECAYS[1], many))
            ]
        for purpose, score in purposes.items():
            chosen[purpose] = Setting(**max(found, key=score)["setting"])
        tried[name] = found
    return chosen, tried


def _tried(lab: Lab, name: str, setting: Setting) -> dict[str, Any]:
    """Train a contender on all but the validation photographs and find those, or take what was kept."""
    path = lab.kept / f"tried-{name}-{setting.name}.json".replace(" ", "-")
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text())
        return kept
    marked = validation_places(lab.lesson.labels)
    given = Lesson(views=lab.lesson.views[~marked], labels=lab.lesson.labels[~marked])
    trained = train(name, given, setting, seed=0)
    gallery, asking = (
        unit_rows(embed(trained, np.ascontiguousarray(views[:, 0])))
        for views in (given.views, lab.lesson.views[marked])
    )
    turn = _pca(gallery) if name == "plain" else None
    widths = (CHOSEN_AT,) if name.startswith("separate") else NESTING
    right = _found(asking, gallery, given.labels, lab.lesson.labels[marked], turn, widths)
    row = {width: round(float(hits.mean()), 4) for width, hits in right.items()}
    note(f"{name} {setting}: {row}")
    found = {"setting": asdict(setting), "validation": row}
    path.write_text(json.dumps(found))
    return found


def _mean(one: dict[str, Any]) -> float:
    return float(np.mean(list(one["validation"].values())))


def _last(one: dict[str, Any]) -> float:
    return float(list(one["validation"].values())[-1])


def _pca(rows: Floats) -> Matrix:
    return transforms.pca(Space(name="plain", dim=rows.shape[1], fingerprint="plain"), rows).matrix


def _found(
    queries: Floats,
    gallery: Floats,
    known: Labels,
    truth: Labels,
    turn: Matrix | None,
    widths: tuple[int, ...],
) -> dict[int, NDArray[np.bool_]]:
    """Return at each width which queries' nearest gallery row has their label."""
    right = {}
    for width in widths:
        rows = head(gallery, width, rotation=turn)
        nearest = np.concatenate(
            [
                (head(part, width, rotation=turn) @ rows.T).argmax(1)
                for part in np.array_split(queries, max(1, len(queries) // 512))
            ]
        )
        right[width] = known[nearest] == truth
    return right


def _alone(rows: Floats, labels: Labels, turn: Matrix | None, width: int) -> float:
    """Return the leave-one-out 1-NN accuracy."""
    cut = head(rows, width, rotation=turn)
    scores = cut @ cut.T
    np.fill_diagonal(scores, -2)
    return float((labels[scores.argmax(1)] == labels).mean())


def _tests(lab: Lab) -> dict[str, NDArray[np.int64]]:
    """Return the places of each test's photographs among those held, or among the others."""
    held, other = lab.data.group[lab.held], lab.data.group[lab.other]
    return (
        {"trained classes: all": np.arange(len(held))}
        | {f"trained classes: {group}": np.flatnonzero(held == group) for group in GROUPS}
        | {f"other classes: {group}": np.flatnonzero(other == group) for group in sorted(set(other))}
    )


def _rows(
    lab: Lab, one: Mapping[str, Floats], turn: Matrix | None, widths: tuple[int, ...]
) -> dict[str, Row]:
    """Return a model's accuracy at each width in each test; over all trained classes the mean over classes."""
    labels = lab.data.labels
    truth = labels[lab.held]
    right = _found(one["held"], one["gallery"], labels[lab.trained], truth, turn, widths)
    made: dict[str, Row] = {}
    for name, places in _tests(lab).items():
        if name == "trained classes: all":
            made[name] = {width: _by_class(hits, truth) for width, hits in right.items()}
        elif name.startswith("trained"):
            made[name] = {width: float(hits[places].mean()) for width, hits in right.items()}
        else:
            mine = labels[lab.other[places]]
            made[name] = {width: _alone(one["other"][places], mine, turn, width) for width in widths}
    return made


def _by_class(hits: NDArray[np.bool_], labels: Labels) -> float:
    """Return the mean over classes of the share of hits."""
    number = np.unique(labels, return_inverse=True)[1]
    return float((np.bincount(number, hits) / np.bincount(number)).mean())


def _random(width: int) -> list[Matrix]:
    """Return three orders of the components, as rotations."""
    eye = np.eye(width, dtype=np.float32)
    return [eye[:, np.random.default_rng(seed).permutation(width)] for seed in range(3)]


def _table(lab: Lab, vectors: Mapping[str, list[dict[str, Floats]]]) -> Table:
    """Cut every contender in every way and measure it in every test."""
    short = tuple(width for width in NESTING if width <= rotate.LEARNED_DIM)
    rows: dict[str, list[dict[str, Row]]] = {}
    for name in ("nested", "nested, shared"):
        rows[name] = [_rows(lab, one, None, NESTING) for one in vectors[name]]
    for name in ("plain", "plain for its full width"):
        for one in vectors.get(name, ()):
            turn = _pca(one["gallery"])
            rows.setdefault(f"{name}, PCA", []).append(_rows(lab, one, turn, NESTING))
            if name != "plain":
                continue
            learned = learn_rotation(one["gallery"], short, turn)
            if learned is not None:
                rows.setdefault("plain, learned rotation", []).append(_rows(lab, one, learned, short))
            rows.setdefault("plain, first", []).append(_rows(lab, one, None, NESTING))
            drawn = [_rows(lab, one, order, NESTING) for order in _random(NESTING[-1])]
            rows.setdefault("plain, random", []).append(
                {test: {w: float(np.mean([d[test][w] for d in drawn])) for w in NESTING} for test in drawn[0]}
            )
    parts = [[_rows(lab, one, None, (width,)) for one in vectors[f"separate {width}"]] for width in SEPARATE]
    rows["separate"] = [
        {test: {w: v for part in same for w, v in part[test].items()} for test in same[0]}
        for same in zip(*parts, strict=True)
    ]
    features = {part: unit_rows(seen) for part, seen in lab.seen.items()}
    rows["frozen features, PCA"] = [_rows(lab, features, _pca(features["gallery"]), NESTING)]
    table: Table = {
        test: {name: _over([one[test] for one in some]) for name, some in rows.items()}
        for test in _tests(lab)
    }
    for test, found in table.items():
        for name, row in found.items():
            note(f"{test}: {name} " + ", ".join(f"{w}: {100 * v.median:.1f}" for w, v in row.items()))
    return table


def _over(repeats: list[Row]) -> dict[int, Spread]:
    return {width: spread([round(row[width], 4) for row in repeats]) for width in repeats[0]}


def _gains(table: Table) -> dict[str, dict[str, dict[int, Spread]]]:
    """Return what nesting gains over each other way, repeat by repeat."""
    return {
        test: {
            other: _minus(rows["nested"], row)
            for other, row in rows.items()
            if other not in ("nested", "frozen features, PCA")
        }
        for test, rows in table.items()
    }


def _minus(one: Mapping[int, Spread], other: Mapping[int, Spread]) -> dict[int, Spread]:
    return {
        width: spread([round(a - b, 4) for a, b in zip(one[width].values, row.values, strict=True)])
        for width, row in other.items()
    }


def _energy(plain: list[dict[str, Floats]]) -> dict[int, Spread]:
    """Return the share of the squared length of plain's training rows that the first principal directions hold."""
    space = Space(name="plain", dim=NESTING[-1], fingerprint="plain")
    held = [transforms.pca(space, one["gallery"]).facts["energy"] for one in plain]
    return {width: spread([float(energy[width - 1]) for energy in held]) for width in NESTING}


def _by_classes(
    lab: Lab, chosen: Mapping[str, Setting], table: Table, *, seeds: int
) -> dict[int, dict[str, dict[int, Spread]]]:
    """Train on fewer classes, for as many steps, and test on held-out photographs of those: mean over classes.

    Each repeat draws its own classes, among those with enough photographs.
    """
    labels = lab.data.labels
    trained, held = labels[lab.trained], labels[lab.held]
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
                steps = setting.epochs * (len(lab.trained) // BATCH)
                one = lab.vectors(
                    name, setting, seed=seed, given=lab.lesson.of(mine), tag=f"of-{count}", steps=steps
                )
                gallery = one["gallery"][mine]
                turn = _pca(gallery) if name == "plain" else None
                right = _found(one["held"][asking], gallery, trained[mine], held[asking], turn, NESTING)
                rows[way].append({width: _by_class(hits, held[asking]) for width, hits in right.items()})
        found[count] = {way: _over(some) for way, some in rows.items()}
    everything = table["trained classes: all"]
    found[len(np.unique(trained))] = {way: everything[way] for way in ("nested", "plain, PCA")}
    for ways in found.values():
        ways["nested minus plain, PCA"] = _minus(ways["nested"], ways["plain, PCA"])
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
        "its full width*'s the best at 256, as of somebody who does not think of cutting. "
        "`python -m benchmarks.bench_matryoshka --parts heads`; all values in `matryoshka_heads.json`."
    )
    relation = (
        "`matryoshka_accuracy.md` has the same contenders as towers of nano's architecture, trained from pixels for less than one "
        "epoch with labels: too little for the loss to shape the space, and there nesting loses. These heads are what becomes of "
        "the same loss when it is trained to the end; they say nothing of towers trained that long, which nobody has measured here."
    )
    lines = [
        "# 1-NN accuracy by width where training goes on to the end: heads on frozen features",
        "",
        how,
        "",
        relation,
    ]
    for test, rows in facts["accuracy"].items():
        lines += ["", f"## {test} ({facts['tests'][test]:,} photographs)", "", *_header(NESTING)]
        lines += [f"| {name} | {_cells(row, NESTING)} |" for name, row in rows.items()]
        gains = facts["nested_minus"][test]["plain, PCA"]
        lines += [f"| *nested minus plain, PCA* | {' | '.join(points(gains[width]) for width in NESTING)} |"]
    lines += [
        "",
        "## By the number of trained classes",
        "",
        "Classes drawn anew for each repeat, as many steps of training; mean over classes, nested minus plain cut by PCA, points.",
        "",
        *_header(NESTING),
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


def _header(widths: tuple[int, ...]) -> list[str]:
    return ["| | " + " | ".join(map(str, widths)) + " |", "|---|" + "---|" * len(widths)]


def _cells(row: Mapping[int, Spread], widths: tuple[int, ...]) -> str:
    return " | ".join(cell(row.get(width)) for width in widths)


def readme_row(facts: dict[str, Any]) -> str:
    """Return the line for the README's table of measurements."""
    shown = ("trained classes: all", "trained classes: caltech101", "other classes: caltech101")
    found = "; ".join(
        f"{test} "
        + " / ".join(points(facts["nested_minus"][test]["plain, PCA"][width]) for width in (8, 16, 32, 64))
        for test in shown
    )
    return (
        f"| the same of heads on frozen features, trained to the end, 8 / 16 / 32 / 64 of 256, {facts['repeats']} repeats, points | "
        f"{found} | `matryoshka_heads.json`, `.md`, `--parts heads` |"
    )
