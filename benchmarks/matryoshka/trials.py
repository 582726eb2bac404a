"""What each head is trained with, and what came of it: settings chosen alike on validation photographs, vectors kept.

Rate, decay and epochs are chosen for each contender by what it is for: the 1-NN accuracy of validation photographs, averaged
over the widths of the table, cut as that contender is cut. ``plain`` therefore has the setting that is best *for cutting by
PCA*; ``plain for its full width`` the one of somebody who does not think of cutting, as in the paper.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.matryoshka.data import Data, Floats, note
from benchmarks.matryoshka.frozen import (
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
from benchmarks.matryoshka.tables import pca
from indexes.engine.lists.prefixes import head
from indexes.vectors.arrays import unit_rows
from indexes.vectors.transforms import Matrix

Labels: TypeAlias = NDArray[np.int64]

RATES, DECAYS, EPOCHS = (4e-3, 1.6e-2, 6.4e-2), (0.05, 0.5), (8, 24)
"""What is tried: each rate with the first decay and few epochs, then the best rate with each decay, few and many epochs."""

CHOSEN_AT = 16
"""The width whose setting all separate heads use."""


class Trials:
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


def choose(trials: Trials) -> tuple[dict[str, Setting], dict[str, list[dict[str, Any]]]]:
    """Choose each contender's setting on validation photographs; also return all that was tried."""
    chosen: dict[str, Setting] = {}
    tried: dict[str, list[dict[str, Any]]] = {}
    few, many = trials.epochs
    for name in ("nested", "nested, shared", "plain", f"separate {CHOSEN_AT}"):
        purposes = {name: _mean} | ({"plain for its full width": _last} if name == "plain" else {})
        found = [_tried(trials, name, Setting(rate=rate, decay=DECAYS[0], epochs=few)) for rate in RATES]
        for rate in sorted({max(found, key=score)["setting"]["rate"] for score in purposes.values()}):
            found += [
                _tried(trials, name, Setting(rate=rate, decay=decay, epochs=epochs))
                for decay, epochs in ((DECAYS[1], few), (DECAYS[0], many), (DECAYS[1], many))
            ]
        for purpose, score in purposes.items():
            chosen[purpose] = Setting(**max(found, key=score)["setting"])
        tried[name] = found
    return chosen, tried


def _tried(trials: Trials, name: str, setting: Setting) -> dict[str, Any]:
    """Train a contender on all but the validation photographs and find those, or take what was kept."""
    path = trials.kept / f"tried-{name}-{setting.name}.json".replace(" ", "-")
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text())
        return kept
    marked = validation_places(trials.lesson.labels)
    given = Lesson(views=trials.lesson.views[~marked], labels=trials.lesson.labels[~marked])
    trained = train(name, given, setting, seed=0)
    gallery, asking = (
        unit_rows(embed(trained, np.ascontiguousarray(views[:, 0])))
        for views in (given.views, trials.lesson.views[marked])
    )
    turn = pca(gallery).matrix if name == "plain" else None
    widths = (CHOSEN_AT,) if name.startswith("separate") else NESTING
    right = hits(asking, gallery, given.labels, trials.lesson.labels[marked], turn, widths)
    row = {width: round(float(hits.mean()), 4) for width, hits in right.items()}
    note(f"{name} {setting}: {row}")
    found = {"setting": asdict(setting), "validation": row}
    path.write_text(json.dumps(found))
    return found


def _mean(one: dict[str, Any]) -> float:
    return float(np.mean(list(one["validation"].values())))


def _last(one: dict[str, Any]) -> float:
    return float(list(one["validation"].values())[-1])


def hits(
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
