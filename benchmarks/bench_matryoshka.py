"""What do short prefixes keep, alone, before reranking, and as the part of a vector that codes are spent on?

    python -m benchmarks.bench_matryoshka --data DIR [--prepared DIR] [--parts accuracy,funnel,codes] [--small]

accuracy  1-NN accuracy (leave one out, among held-out photographs) at 16 to 256 dimensions: shipped nano; towers of its
          architecture trained here with and without nesting (`benchmarks.matryoshka_towers`), the one without cut by PCA, by a
          learned rotation, naively, and at random dimensions; and towers trained for one width each.
funnel    a collection of 500,000 or more vectors of nano: top-1 agreement with exact search, and the time of one query (one
          thread) and of a batch, of funnels and of indexes on prefixes, planned by the public `build_index_from_vectors`.
          Real photographs come first, then embedded views of them (crops, turned, mirrored); the rest are made of both:
          a photograph's vector moved part of the way to one of its ten nearest and by the difference that a view made to
          another photograph's vector. Queries are views of photographs that are among the rows, made apart.
codes     product-quantised codes of 8 to 32 bytes on each prefix and on the whole vector, searched without reranking: 1-NN
          accuracy and agreement with exact search, over seeds of the codebooks. The prefix is chosen on half of the queries
          and reported on the other half.

``--prepared`` holds `pixels.npy` and `mobilenet.npy` as `tools.train_nano` makes them; else they are made there first
(20 minutes). On two quiet cores the whole takes about 25 minutes (estimated). Results: `results/matryoshka_PART.json` and `.svg`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

import retrieval
from benchmarks.frame import RESULTS, alternate, ratio, save, spread, watch
from indexes import ivf, rotate, transforms
from indexes.arrays import unit_rows
from indexes.backend import faiss, one_thread
from indexes.flat import exact
from indexes.metrics import knn_accuracy, top1
from indexes.prefixes import head
from indexes.space import Space
from retrieval import plots
from retrieval.writing import learn_rotation
from tools.train_nano.data import decode_all, list_photos
from tools.train_nano.prepare import CLUTTER
from tools.train_nano.views import crop

WIDTHS = (16, 32, 64, 128, 256)
SETS = ("caltech101", "imagenette", "clothing")
COLOURS = (
    "tab:blue",
    "tab:green",
    "tab:orange",
    "tab:red",
    "tab:gray",
    "tab:purple",
    "tab:brown",
    "tab:pink",
)

Floats = NDArray[np.float32]


class Data:
    """The photographs, their labels and splits, and nano's vectors of them, made once."""

    def __init__(self, data: Path, prepared: Path, work: Path, *, most: int | None) -> None:
        self.photos = list_photos(data)
        self.pixels = decode_all(data, self.photos, prepared / "pixels.npy", note=note)
        self.prepared, self.work, self.most = prepared, work, most
        self.data = data
        self.group = np.array([photo.group for photo in self.photos])
        self.split = np.array([photo.split for photo in self.photos])
        names = [
            f"{photo.group}/{photo.label}" if photo.label and photo.label != CLUTTER else ""
            for photo in self.photos
        ]
        known = sorted(set(names) - {""})
        place = {name: number for number, name in enumerate(known)}
        self.labels = np.array([place.get(name, -1) for name in names])
        self.encoder = retrieval.load_encoder("nano")

    def held(self, group: str) -> NDArray[np.int64]:
        """Return the labelled photographs of a collection that no training saw."""
        rows = np.flatnonzero((self.group == group) & (self.split != "train") & (self.labels >= 0))
        return rows[: self.most] if self.most else rows

    def features(self) -> Floats:
        """Return the teacher's features of all photographs."""
        from tools.train_nano.teachers import mobilenet_features

        return np.asarray(
            mobilenet_features(self.data, self.photos, self.prepared / "mobilenet.npy", note=note)
        )

    def encode(self, images: Callable[[int], Image.Image], count: int, name: str) -> Floats:
        """Embed pictures with nano; kept in the work folder under ``name`` and the weights' fingerprint."""
        path = self.work / f"{name}-{count}-{self.encoder.space.fingerprint[:12]}.npy"
        if path.exists():
            return np.load(path)
        rows = []
        for start in range(0, count, 64):
            batch = [
                self.encoder.preprocess(images(number)) for number in range(start, min(start + 64, count))
            ]
            rows.append(self.encoder.encode_pixels(np.stack(batch)))
            if start % 6400 == 0:
                note(f"{name}: embedded {start:,} of {count:,}")
        np.save(path, np.concatenate(rows))
        return np.concatenate(rows)

    def vectors(self, rows: NDArray[np.int64], name: str) -> Floats:
        """Return nano's vectors of some photographs."""
        return self.encode(lambda number: Image.fromarray(self.pixels[rows[number]]), len(rows), name)

    def views(self, rows: NDArray[np.int64], name: str, *, seed: int, least: float = 0.5) -> Floats:
        """Return nano's vectors of one altered view of each photograph: a crop of half or more, perhaps turned, mirrored."""

        def view(number: int) -> Image.Image:
            return crop(self.pixels[rows[number]], least, np.random.default_rng((seed, number)))

        return self.encode(view, len(rows), f"{name}-{seed}")


def note(text: str) -> None:
    """Say on stderr how it goes."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def accuracy(data: Data, budget: Any, separate: tuple[int, ...]) -> dict[str, Any]:
    """Make the table of 1-NN accuracies."""
    from benchmarks.matryoshka_towers import Photographs, embed, teacher_targets, train_towers

    train = np.flatnonzero(data.split == "train")
    codes = np.unique(data.labels[train][data.labels[train] >= 0])
    labels = np.full(len(data.labels), -1, dtype=np.int64)
    inside = np.isin(data.labels, codes)
    labels[inside] = np.searchsorted(codes, data.labels[inside])
    targets = teacher_targets(data.features().astype(np.float32), train)
    photographs = Photographs(pixels=data.pixels, targets=targets, labels=labels, train=train)
    began = time.perf_counter()
    towers = train_towers(photographs, budget, separate=separate, note=note)
    minutes = (time.perf_counter() - began) / 60
    fitted = train[:: max(1, len(train) // 6000)]
    plain = embed(towers["plain"], data.pixels[fitted], side=budget.side)
    space = Space(name="plain", dim=256, fingerprint="plain")
    turn = transforms.pca(space, plain).matrix
    learned = {
        width: learn_rotation(unit_rows(plain), (width,), turn)
        for width in WIDTHS
        if width <= rotate.LEARNED_DIM
    }
    table: dict[str, dict[str, dict[int, Any]]] = {}
    for group in SETS:
        rows = data.held(group)
        pixels, truth = data.pixels[rows], data.labels[rows]
        nested, plain, start = (
            unit_rows(embed(towers[name], pixels, side=budget.side)) for name in ("nested", "plain", "start")
        )
        table[group] = {
            "nano (shipped)": _row(data.vectors(rows, f"held-{group}"), truth),
            "nested": _row(nested, truth),
            "plain, PCA": _row(plain, truth, turn),
            "plain, learned rotation": {
                width: _nn(head(plain, width, rotation=matrix), truth) for width, matrix in learned.items()
            },
            "plain, first": _row(plain, truth),
            "plain, random": {width: _random(plain, truth, width) for width in WIDTHS},
            "separate": {
                width: _nn(head(embed(towers[f"separate {width}"], pixels, side=budget.side), width), truth)
                for width in separate
            },
            "start (teacher only), PCA": _row(start, truth, transforms.pca(space, embed(
                towers["start"], data.pixels[fitted], side=budget.side)).matrix),
            "teacher, PCA": _row(targets[rows], truth, transforms.pca(space, targets[fitted]).matrix),
        }  # fmt: skip
        note(f"{group}: {table[group]}")
    return {
        "photographs": {group: len(data.held(group)) for group in SETS},
        "classes": {group: len(np.unique(data.labels[data.held(group)])) for group in SETS},
        "budget": {
            name: getattr(budget, name)
            for name in ("start_samples", "samples", "batch", "side", "rate", "seed")
        },
        "minutes_of_training": round(minutes, 1),
        "accuracy": table,
    }


def _nn(rows: Floats, labels: NDArray[np.int64]) -> float:
    return round(knn_accuracy(rows.astype(np.float16), labels), 4)


def _row(rows: Floats, labels: NDArray[np.int64], turn: Floats | None = None) -> dict[int, float]:
    return {width: _nn(head(rows, width, rotation=turn), labels) for width in WIDTHS}


def _random(rows: Floats, labels: NDArray[np.int64], width: int) -> float:
    """Return the mean over five choices of random dimensions."""
    found = []
    for seed in range(5):
        chosen = np.random.default_rng(seed).permutation(rows.shape[1])[:width]
        found.append(_nn(head(rows[:, chosen], width), labels))
    return round(float(np.mean(found)), 4)


def fill_up(real: Floats, seen: Floats, of: NDArray[np.int64], count: int) -> NDArray[np.float16]:
    """Add made vectors to real ones and views, as this script's first lines say, until there are ``count``.

    Args:
        real: ``(n, d)`` vectors of photographs.
        seen: ``(v, d)`` vectors of views.
        of: ``(v,)`` the photograph that each is a view of.
        count: rows wanted.
    """
    near = exact(real.astype(np.float16), real, k=11).ids[:, 1:]  # (n, 10)
    changes = seen - real[of]
    rng = np.random.default_rng(0)
    rows = np.empty((count, real.shape[1]), dtype=np.float16)
    rows[: len(real)] = real[:count]
    rows[len(real) : len(real) + len(seen)] = seen[: max(0, count - len(real))]
    for start in range(len(real) + len(seen), count, 65_536):
        size = min(65_536, count - start)
        base = rng.integers(len(real), size=size)
        other = near[base, rng.integers(10, size=size)]
        part = rng.uniform(0.1, 0.5, (size, 1)).astype(np.float32)
        made = real[base] + part * (real[other] - real[base]) + changes[rng.integers(len(changes), size=size)]
        rows[start : start + size] = unit_rows(made)
    return rows


def funnel(data: Data, *, count: int, views: int, queries: int, repeats: int) -> dict[str, Any]:
    """Compare first stages on prefixes with exact search over many rows."""
    everything = np.arange(len(data.photos))[: data.most * 10 if data.most else None]
    real = data.vectors(everything, "all")
    of = np.random.default_rng(1).permutation(len(everything))[:views]
    seen = data.views(everything[of], "views", seed=1)
    rows = fill_up(real, seen, of, count)
    whose = np.random.default_rng(2).permutation(len(everything))[:queries]
    asked = data.views(everything[whose], "queries", seed=2)
    space = data.encoder.space
    truth = exact(rows, asked, k=10)
    plans = {
        "funnel 16": {"kind": "flat", "dim": 16},
        "funnel 32": {"kind": "flat", "dim": 32},
        "funnel 64": {"kind": "flat", "dim": 64},
        "ivfrabitq 64": {"kind": "ivfrabitq", "dim": 64},
        "ivfrabitq 256": {"kind": "ivfrabitq"},
        "auto": {"kind": "auto", "dim": "auto"},
    }
    names = [str(number) for number in range(len(rows))]
    plain = faiss().IndexFlatIP(space.dim)
    plain.add(rows.astype(np.float32))
    found: dict[str, Any] = {}
    tried: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(dir=data.work) as place:
        folder = Path(place) / "c"
        for name, plan in plans.items():
            lines: list[str] = []
            began = time.perf_counter()
            report = retrieval.build_index_from_vectors(
                folder, rows, names, space=space, recall=0.97, **plan,
                progress=lambda event, lines=lines: lines.append(event.message) if event.message else None,
            )  # fmt: skip
            seconds = time.perf_counter() - began
            tried[name] = [line for line in lines if line.startswith(("tried", "chosen", "recall"))]
            note(
                f"{name}: {report.kind} {report.factory} {report.dim}, recall@10 {report.recall_at_10}; {lines[-1:]}"
            )
            with retrieval.open(folder) as collection:
                found[name] = _compared(collection, plain, asked, truth, repeats=repeats) | {
                    "kind": report.kind,
                    "factory": report.factory,
                    "dim": report.dim,
                    "coarse": collection.manifest.index.coarse,
                    "stages": collection.manifest.index.stages,
                    "nprobe": collection.manifest.index.nprobe,
                    "shortlist": collection.manifest.index.shortlist,
                    "bytes_per_vector": report.bytes_per_vector,
                    "recall_at_10_stored_rows": report.recall_at_10,
                    "build_seconds": round(seconds, 1),
                }
            note(
                f"{name}: top-1 {found[name]['top1_agreement']:.4f}, single "
                f"{found[name]['single: exact over this'].median:.1f}x, batch {found[name]['batch: exact over this'].median:.1f}x"
            )
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "rows": {"real": len(real), "views": len(seen), "made": count - len(real) - len(seen), "all": count},
        "width": space.dim,
        "space": f"{space.name} {space.fingerprint[:12]}",
        "queries": queries,
        "plans": found,
        "told": tried,
    }


def _compared(
    collection: retrieval.Collection, plain: Any, asked: Floats, truth: Any, *, repeats: int
) -> dict[str, Any]:
    """Measure one collection beside its own exact search and FAISS's flat index, alternating."""
    singles = asked[:32]
    module = faiss()

    def alone(search: Callable[[Floats], Any]) -> Callable[[], None]:
        def run() -> None:
            for query in singles:
                search(query[np.newaxis])

        return run

    contenders = {
        "this": lambda some: collection.search_vectors(some, k=10),
        "exact": lambda some: collection.search_vectors(some, k=10, exact=True),
        "IndexFlatIP": lambda some: plain.search(some, 10),
    }
    with one_thread():
        module.omp_set_num_threads(1)
        single = alternate({name: alone(search) for name, search in contenders.items()}, repeats=repeats)
        batch = alternate(
            {
                name: (lambda search=search: search(asked))
                for name, search in contenders.items()
                if name != "IndexFlatIP"
            },
            repeats=min(3, repeats),
        )
    ids = collection.search_vectors(asked, k=10).ids
    return {
        "top1_agreement": round(top1(ids, truth.ids), 4),
        "recall_at_10": round(float((ids[:, :, None] == truth.ids[:, None, :]).any(2).mean()), 4),
        "single_ms": {
            name: spread([1000 * value / len(singles) for value in taken.values])
            for name, taken in single.items()
        },
        "single: exact over this": ratio(single["exact"], single["this"]),
        "single: IndexFlatIP over this": ratio(single["IndexFlatIP"], single["this"]),
        "batch_ms": {
            name: spread([1000 * value / len(asked) for value in taken.values])
            for name, taken in batch.items()
        },
        "batch: exact over this": ratio(batch["exact"], batch["this"]),
    }


def codes(data: Data, *, seeds: int, bytes_: tuple[int, ...]) -> dict[str, Any]:
    """Spend equal bytes on each prefix and on the whole vector."""
    train = np.flatnonzero((data.split == "train") & (data.labels >= 0))
    if data.most:
        train = train[:: max(1, len(train) // (20 * data.most))]
    held = np.concatenate([data.held(group) for group in SETS if group != "clothing"])
    held = held[
        np.isin(data.labels[held], np.unique(data.labels[train]))
    ]  # of classes that are in the gallery
    gallery = data.vectors(train, "gallery")
    asked = data.vectors(held, "asked")
    truth = exact(gallery.astype(np.float16), asked, k=1).ids[:, 0]
    right = data.labels[train][truth] == data.labels[held]
    half = np.random.default_rng(0).random(len(held)) < 0.5  # to choose the prefix on; the others report
    results: dict[str, Any] = {}
    for size in bytes_:
        accuracy: dict[int, list[NDArray[np.bool_]]] = {}
        agreement: dict[int, list[NDArray[np.bool_]]] = {}
        for width in WIDTHS:
            if width < size:
                continue
            rows, queries = head(gallery, width), head(asked, width)
            for seed in range(seeds):
                index = ivf.make(f"PQ{size}", dim=width)
                ivf.train(index, rows, seed=seed)
                index.add(rows)
                found = index.search(queries, 1)[1][:, 0]
                accuracy.setdefault(width, []).append(data.labels[train][found] == data.labels[held])
                agreement.setdefault(width, []).append(found == truth)
        full = gallery.shape[1]
        prefixes = [width for width in accuracy if width < full]
        best = max(prefixes, key=lambda width: float(np.mean([one[half].mean() for one in accuracy[width]])))
        gains = [
            float(short[~half].mean() - whole[~half].mean())
            for short, whole in zip(accuracy[best], accuracy[full], strict=True)
        ]
        results[f"{size} bytes"] = {
            "accuracy": {
                width: spread([float(one[~half].mean()) for one in some]) for width, some in accuracy.items()
            },
            "agreement_with_exact": {
                width: spread([float(one[~half].mean()) for one in some]) for width, some in agreement.items()
            },
            "best_prefix": best,
            "gain_in_accuracy": spread(gains),
            "gain_in_agreement": spread(
                [
                    float(short[~half].mean() - whole[~half].mean())
                    for short, whole in zip(agreement[best], agreement[full], strict=True)
                ]
            ),
        }
        note(
            f"{size} bytes: best prefix {best}, gain {np.mean(gains):+.4f} ({min(gains):+.4f} to {max(gains):+.4f})"
        )
    return {
        "gallery": len(train),
        "queries": int((~half).sum()),
        "queries_to_choose_by": int(half.sum()),
        "exact_accuracy": float(right[~half].mean()),
        "seeds": seeds,
        "space": f"{data.encoder.space.name} {data.encoder.space.fingerprint[:12]}",
        "codes": results,
    }


def draw_accuracy(facts: dict[str, Any], path: Path) -> None:
    """Draw accuracy against width, a panel a collection."""
    groups = facts["accuracy"]
    with plots.figure(path, width=4.2 * len(groups), height=3.8, panels=len(groups)) as panels:
        for axes, (group, rows) in zip(panels, groups.items(), strict=True):
            for colour, (name, row) in zip(COLOURS, list(rows.items())[:7], strict=False):
                axes.plot(
                    list(row),
                    [100 * value for value in row.values()],
                    "o-",
                    color=colour,
                    label=name,
                    markersize=4,
                )
            _by_width(axes)
            axes.set_title(
                f"{group}: {facts['photographs'][group]} photographs, {facts['classes'][group]} classes",
                fontsize=9,
            )
            axes.set_xlabel("dimensions")
            axes.set_ylabel("1-NN accuracy, %")
            axes.grid(alpha=0.3)
        panels[0].legend(fontsize=7)


def _by_width(axes: Any) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(WIDTHS, [str(width) for width in WIDTHS])


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
            widths = list(row["accuracy"])
            middle = np.array([100 * row["accuracy"][width].median for width in widths])
            low = np.array([100 * row["accuracy"][width].min for width in widths])
            high = np.array([100 * row["accuracy"][width].max for width in widths])
            axes.errorbar(
                widths, middle, yerr=[middle - low, high - middle], fmt="o-", color=colour, label=name
            )
        axes.axhline(
            100 * facts["exact_accuracy"], color="gray", linestyle="--", linewidth=0.8, label="no codes"
        )
        _by_width(axes)
        axes.set_xlabel("components that the codes describe")
        axes.set_ylabel("1-NN accuracy, %")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)


def main() -> None:
    """Run the parts asked for and keep their results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("RETRIEVAL_DATA"))
    parser.add_argument("--prepared", type=Path, help="where pixels.npy and mobilenet.npy lie or go")
    parser.add_argument("--work", type=Path, help="where vectors are kept between runs")
    parser.add_argument("--parts", default="codes,funnel,accuracy")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--views", type=int, default=16_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--start-samples", type=int, default=90_000)
    parser.add_argument("--samples", type=int, default=30_000)
    parser.add_argument(
        "--separate", default="16,32,64", help="widths to train towers of their own for; empty for none"
    )
    parser.add_argument("--threads", type=int, default=2, help="of training")
    parser.add_argument("--small", action="store_true", help="try every part on little; keeps no results")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the photographs with --data or RETRIEVAL_DATA")
    work = options.work or Path(tempfile.mkdtemp(prefix="matryoshka-"))
    work.mkdir(parents=True, exist_ok=True)
    data = Data(Path(options.data), options.prepared or work, work, most=150 if options.small else None)
    results = Path(tempfile.mkdtemp(prefix="matryoshka-small-")) if options.small else RESULTS
    for part in options.parts.split(","):
        note(part)
        with watch() as load:
            if part == "accuracy":
                from benchmarks.matryoshka_towers import Budget

                small = {"start_samples": 512, "samples": 256} if options.small else {
                    "start_samples": options.start_samples, "samples": options.samples
                }  # fmt: skip
                separate = tuple(int(width) for width in options.separate.split(",") if width)
                facts = accuracy(data, Budget(**small, threads=options.threads), separate)
                draw = draw_accuracy
            elif part == "funnel":
                facts = funnel(
                    data,
                    count=20_000 if options.small else options.rows,
                    views=200 if options.small else options.views,
                    queries=64 if options.small else options.queries,
                    repeats=2 if options.small else options.repeats,
                )
                draw = draw_funnel
            elif part == "codes":
                facts = codes(
                    data,
                    seeds=2 if options.small else options.seeds,
                    bytes_=(8,) if options.small else (8, 16, 32),
                )
                draw = draw_codes
            else:
                parser.error(f"no part {part!r}; choose from accuracy, funnel, codes")
        draw(facts, results / f"matryoshka_{part}.svg")
        note(f"wrote {save(f'matryoshka_{part}', load=load, directory=results, **facts)}")


if __name__ == "__main__":
    main()
