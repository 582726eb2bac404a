"""What do names add to a query by words, what do they spoil, and what do they cost?

    RETRIEVAL_DATA=… python benchmarks/queries/bench_names.py [--parts quality,time] [--each 8] [--repeats 5] [--rows 200000]

quality   photographs of labelled sets in folders named as their labels, and photographs with captions, through nano in one
          collection; queries are the labels and captions, each with names and without, and by the reciprocal ranks of both lists.
          `shown`: precision at 10 of labels. `misnamed`: the same where every folder bears another's label. `captions hidden`: recall
          of the photograph that a caption is of, where no name says so. `captions shown`: the same where the photograph's other
          captions are a column.
time      CPU time: a query by words with names over one without, in that collection and in one of many rows with made-up names; what the
          index of names takes to write, its bytes a row, and a first query by words.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

import retrieval
from benchmarks.frame import Spread, ratio, save, spread, watch
from indexes.generation import generation_path, read_manifest
from indexes.store import VectorStore
from retrieval.errors import UnknownWords
from retrieval.names import NAMES, NamesFile
from retrieval.testing import FakeEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

SETS = (
    "caltech101", "imagenette", "scenes", "cats_dogs", "clothing", "rooms", "groceries", "sports", "animals", "flowers",
    "weather", "street_vehicles",
)  # fmt: skip
CAPTIONED = ("captions", "captions_more")
DEEP = 1_000  # places of both lists whose reciprocal ranks are added
DAMPING = 60
WORDS = 20_000


def alternate_cpu(contenders: dict[str, Callable[[], object]], *, repeats: int) -> dict[str, Spread]:
    """Return each contender's CPU time in seconds over rounds, behind one that does not count; other programs change it little."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(repeats + 1):
        for name in list(contenders)[:: 1 if number % 2 else -1]:
            began = time.process_time()
            contenders[name]()
            if number:
                taken[name].append(time.process_time() - began)
    return {name: spread(values) for name, values in taken.items()}


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def labelled(data: Path, each: int, draws: np.random.Generator) -> dict[str, str]:
    """Return some images of each label of each set, by path."""
    chosen = {}
    for name in SETS:
        by_label = defaultdict(list)
        for row in rows_of(data / "images" / name / "labels.csv"):
            by_label[row["label"]].append(f"images/{name}/{row['file']}")
        for label, files in sorted(by_label.items()):
            for place in draws.permutation(len(files))[:each].tolist():
                chosen[files[place]] = label.lower()
    return chosen


def captioned(data: Path, many: int, draws: np.random.Generator) -> dict[str, list[str]]:
    """Return some images of each set with captions, by path."""
    chosen = {}
    for name in CAPTIONED:
        captions = defaultdict(list)
        for row in rows_of(data / name / "captions.csv"):
            captions[f"{name}/{row['file']}"].append(row["caption"])
        files = sorted(captions)
        for place in draws.permutation(len(files))[:many].tolist():
            chosen[files[place]] = captions[files[place]]
    return chosen


def places_of(paths: Iterable[str]) -> dict[str, int]:
    return {path: place for place, path in enumerate(paths, 1)}


def by_names(photos: retrieval.Collection, query: str) -> list[str]:
    return [hit.path for hit in photos.search(query, k=10)]


def by_vectors(photos: retrieval.Collection, query: str) -> list[str]:
    return [hit.path for hit in photos.search(query, k=10, names="off")]


def by_reciprocal_ranks(photos: retrieval.Collection, query: str) -> list[str]:
    """Return the ten best by the sum of reciprocal ranks in both lists."""
    lists = [
        places_of(hit.path for hit in photos.search(query, k=DEEP, names=names)) for names in ("off", "only")
    ]
    found = {path for places in lists for path in places}
    ranks = {path: sum(1 / (DAMPING + places[path]) for places in lists if path in places) for path in found}
    return sorted(found, key=lambda path: -ranks[path])[:10]


WAYS: dict[str, Callable[[retrieval.Collection, str], list[str]]] = {
    "names": by_names,
    "vectors alone": by_vectors,
    "reciprocal ranks": by_reciprocal_ranks,
}


def answer(
    way: Callable[[retrieval.Collection, str], list[str]], photos: retrieval.Collection, query: str
) -> list[str]:
    """Return what a way finds; nothing where the encoder has learned no word of the query."""
    try:
        return way(photos, query)
    except UnknownWords:
        return []


def precision(
    photos: retrieval.Collection,
    label_of: dict[str, str],
    way: Callable[[retrieval.Collection, str], list[str]],
) -> float:
    """Return the mean share of images of a label among the ten best for it."""
    values = []
    for label in sorted(set(label_of.values()))[::2]:
        there = sum(1 for own in label_of.values() if own == label)
        right = sum(label_of.get(path) == label for path in answer(way, photos, label))
        values.append(right / min(there, 10))
    return float(np.mean(values))


def recall(
    photos: retrieval.Collection,
    asked: Sequence[tuple[str, str]],
    way: Callable[[retrieval.Collection, str], list[str]],
) -> dict[str, float]:
    """Return how often a caption's image comes first, and is among the ten best."""
    found = [answer(way, photos, caption) for _, caption in asked]
    pairs = list(zip(asked, found, strict=True))
    return {
        "at 1": float(np.mean([paths[:1] == [path] for (path, _), paths in pairs])),
        "at 10": float(np.mean([path in paths for (path, _), paths in pairs])),
    }


def by_hand(home: Path, vectors: Any, keys: list[str]) -> retrieval.Collection:
    """Return a collection of the same vectors under other names."""
    photos = retrieval.create(home, encoder="nano")
    photos.sync_vectors(vectors, keys)
    photos.refresh()
    return photos


def quality(data: Path, home: Path, *, each: int, many: int, asked: int, repeats: int) -> dict[str, Any]:
    """Measure what names add and spoil."""
    draws = np.random.default_rng(0)
    label_of, captions = labelled(data, each, draws), captioned(data, many, draws)
    with (home / "list.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "caption"])
        for path in [*label_of, *captions]:
            writer.writerow([data / path, " / ".join(captions.get(path, [""])[1:])])
    retrieval.build_index(home / "list.csv", index=home / "listed", encoder="nano", progress=False)
    key_of = {os.fspath(data / path): path for path in [*label_of, *captions]}
    with retrieval.open(home / "listed") as listed:
        vectors, keys = listed.export()
        paths = [key_of[key] for key in keys]
        labels = sorted(set(label_of.values()))
        other = dict(zip(labels, np.roll(labels, 1).tolist(), strict=True))
        folders = {label: os.path.dirname(path) for path, label in label_of.items()}
        wrong = [
            f"{folders[other[label_of[path]]]}/{number}-{os.path.basename(path)}"
            if path in label_of
            else path
            for number, path in enumerate(paths)
        ]
        wrong_label = {
            key: label_of[path] for key, path in zip(wrong, paths, strict=True) if path in label_of
        }
        five = [path for path in sorted(captions) if len(captions[path]) >= 5]
        some = [(path, captions[path][0]) for path in draws.permutation(five)[:asked].tolist()]
        own = by_hand(home / "own", vectors, paths)
        misnamed = by_hand(home / "misnamed", vectors, wrong)
        shown = [(os.fspath(data / path), caption) for path, caption in some]
        with own, misnamed:
            found: dict[str, Any] = {
                "shown": {name: precision(own, label_of, way) for name, way in WAYS.items()},
                "misnamed": {name: precision(misnamed, wrong_label, way) for name, way in WAYS.items()},
                "captions hidden": {name: recall(own, some, way) for name, way in WAYS.items()},
                "captions shown": {name: recall(listed, shown, way) for name, way in WAYS.items()},
            }
            queries = [*labels[::8], *(caption for _, caption in some[:20])]
            times = alternate_cpu(
                {
                    name: lambda way=way: [answer(way, own, query) for query in queries]
                    for name, way in WAYS.items()
                    if name != "reciprocal ranks"
                },
                repeats=repeats,
            )
    return {
        "rows": len(paths),
        "labels": len(labels[::2]),
        "captions": len(some),
        "found": found,
        "CPU ms a query": {
            name: spread([1000 * value / len(queries) for value in taken.values])
            for name, taken in times.items()
        },
        "a query with names over one without": ratio(times["names"], times["vectors alone"]),
    }


def made_up(count: int) -> Iterable[str]:
    """Yield keys of a photo collection: folders of a thousand files, words of many and of few."""
    for number in range(count):
        folder = number // 1_000
        word = f"word{folder * 7 % WORDS}"
        yield f"photos/{2000 + folder % 25}/{'holiday' if number % 2 else 'family'} {word}/IMG_{number}.jpg"


def cost(home: Path, *, rows: int, repeats: int) -> dict[str, Any]:
    """Measure what names cost among many rows."""
    encoder = FakeEncoder(dim=64)
    draws = np.random.default_rng(0)
    vectors = draws.standard_normal((rows, 64), dtype=np.float32)
    retrieval.sync_vectors(
        home / "many", vectors, list(made_up(rows)), space=encoder.space, kind="flat", progress=False
    )
    directory = home / "many" / ".retrieve"
    manifest = read_manifest(directory)
    place = generation_path(directory, manifest.generation) / NAMES
    written = []
    with VectorStore.open(directory, dim=64) as store:
        for _ in range(repeats):
            (home / "prepared").mkdir(exist_ok=True)
            began = time.process_time()
            NamesFile().write(home / "prepared", home=directory, store=store, before=None)
            written.append(time.process_time() - began)
    asked = {"a name": "word700", "a common word": "holiday", "three words": "family photos word77"}
    times: dict[str, Any] = {}
    with retrieval.open(directory, encoder=encoder) as photos:
        photos.search("warm", names="off")
        began = time.process_time()
        photos.search("word700")
        first = time.process_time() - began
        for name, query in asked.items():
            taken = alternate_cpu(
                {
                    mode: lambda query=query, mode=mode: [photos.search(query, names=mode) for _ in range(20)]
                    for mode in ("auto", "off")
                },
                repeats=repeats,
            )
            times[name] = {
                "more CPU ms": spread(
                    [50 * (a - b) for a, b in zip(taken["auto"].values, taken["off"].values, strict=True)]
                ),
                "over one without": ratio(taken["auto"], taken["off"]),
            }
    return {
        "rows": rows,
        "bytes a row": place.stat().st_size / rows,
        "CPU seconds to write all": spread(written),
        "CPU ms of the first query by words": 1000 * first,
        "queries": times,
    }


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--data", type=Path, default=os.environ.get("RETRIEVAL_DATA"))
    arguments.add_argument("--parts", default="quality,time")
    arguments.add_argument("--each", type=int, default=8)
    arguments.add_argument("--many", type=int, default=700)
    arguments.add_argument("--asked", type=int, default=300)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--rows", type=int, default=200_000)
    options = arguments.parse_args()
    facts: dict[str, Any] = {}
    with watch() as load, tempfile.TemporaryDirectory() as temporary:
        if "time" in options.parts.split(","):
            facts["time"] = cost(Path(temporary), rows=options.rows, repeats=options.repeats)
        if "quality" in options.parts.split(","):
            facts["quality"] = quality(
                options.data.absolute(),
                Path(temporary),
                each=options.each,
                many=options.many,
                asked=options.asked,
                repeats=options.repeats,
            )
    print(
        save(
            "names",
            load=load,
            parameters={
                name: getattr(options, name) for name in ("each", "many", "asked", "rows", "repeats")
            },
            **facts,
        )
    )


if __name__ == "__main__":
    main()
