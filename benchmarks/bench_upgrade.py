"""What does a change of the encoder keep of the old gallery, and what does a backfill gain?

    RETRIEVAL_DATA=… python -m benchmarks.bench_upgrade --work FOLDER [--parts real,frozen,protocol] [--seeds 5]
        [--sets caltech101,cats_dogs,groceries] [--pairs 'colour nano@1,lite0 lite2'] [--rows 100000]

``FOLDER`` keeps decoded photographs and teacher features between runs (`tools.train_nano.prepare` fills the same), and holds the
``nano-2`` that `tools.train_oca` made there where none is shipped. Long because it prepares two sets of encoders. Six parts:

time        what a query takes during an upgrade, beside one before and one after, in seeded vectors: see
            `benchmarks.upgrade.query_time`. ``results/upgrade_query_time.json``.
real        encoders that people have (EfficientNet-Lite0 and -Lite2 of the extra ``train``, MobileNetV2, ``nano``, colour histograms, a
            small CLIP that is trained for it), each in
            6,000 labelled photographs that nothing was fitted on: see `benchmarks.upgrade.pairs`. ``results/upgrade_real.json``.

plans       the plan that ``upgrade`` takes by itself between the encoders of ``real``, and what its ways give if they are forced: see
            `benchmarks.upgrade.plans`. ``results/upgrade_plans.json``.
maps        maps that bend (kernels on landmarks, a residual network, a map for each region) beside the rotation, between encoders
            of ``real``: see `benchmarks.upgrade.further_maps`. ``results/upgrade_further_maps.json``.

frozen      encoders as they are, 12,000 photographs, queries are crops (20 to 100 % of the area) of 1,500 of them. For each pair
            of encoders and each seed: a sample of 4,000 is fitted on, with a view of some 1,500 of them, 300 of the queries choose
            settings, the others measure: recall@1 and recall@10 of the old query, the mapped query and the new query; the share of
            the full re-encode's gain, the share of its recall, microseconds to map a query; the backfill curve.
            ``results/upgrade_frozen.json``.
protocol    the papers' protocol (BCT, OCA): an old model trained on half of the classes, a new one on all; query and gallery
            are the test images, the query itself taken out; top-1 of old/old, new/old, new/new for independent training,
            BCT and OCA, AC and AM, and OCA's new/new less the independent one's with a paired 95 % interval. What is
            trained are two-layer heads (`benchmarks.upgrade.heads`) on frozen MobileNetV2 features of real photographs, not whole
            networks. ``results/upgrade_protocol.json``.

The encoders of ``frozen``: ``colour`` (colour histogram and gradients, 192-d, no weights), ``nano@1`` (256-d), ``nano@2`` (384-d,
trained to extend it, so that ``prefix`` is measured too),
``mobilenet`` (MobileNetV2, ImageNet, 1280-d), ``mobilenet-at-96`` (the same network on pictures of 96 pixels instead of 224: a
worse one of the same family), and the 256 first principal components of either (``-256``): so the new encoder is wider, as wide, and
narrower than the old one.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame import save, spread, watch
from benchmarks.upgrade.further_maps import further_maps
from benchmarks.upgrade.pairs import extension, real
from benchmarks.upgrade.plans import plans
from benchmarks.upgrade.query_time import query_time
from indexes.migration.alignment import Probe
from indexes.vectors.arrays import Vectors, unit_rows
from indexes.vectors.space import Space
from retrieval.upgrades.trial.maps import Pairs, fit
from retrieval.upgrades.trial.measurement import backfill_curve, background_of, measure

GALLERY, QUERIES, SAMPLE, CHOOSING, VIEWED = 12_000, 1_500, 4_000, 300, 4_000
K = 10
PAIRS = (
    ("colour", "nano@1"),
    ("nano@1", "mobilenet"),
    ("mobilenet-at-96-256", "mobilenet-256"),
    ("mobilenet-at-96", "mobilenet-256"),
)


def photographs(data: Path, work: Path) -> dict[str, Any]:
    """Return pixels and the teacher's features of the gallery, of queries and of other views, and whose views both are."""
    from tools.train_nano.inputs.data import decode_all, list_photos
    from tools.train_nano.targets.teachers import mobilenet_features
    from tools.train_nano.targets.views import is_mixed, view_features, view_sources

    photos = list_photos(data)
    pixels = decode_all(data, photos, work / "pixels.npy")
    features = mobilenet_features(data, photos, work / "mobilenet.npy")
    train = np.flatnonzero([photo.split == "train" for photo in photos])
    views, view_rows = view_features(
        data, pixels, view_sources(photos), work
    )  # the first are one a photograph
    picked = np.sort(np.random.default_rng(0).choice(len(train), GALLERY, replace=False))
    whole = [not is_mixed(int(view)) for view in picked]
    asked = np.sort(np.random.default_rng(1).choice(np.flatnonzero(whole), QUERIES, replace=False))
    others = np.setdiff1d(np.flatnonzero(whole), asked)
    viewed = np.sort(np.random.default_rng(2).choice(others, VIEWED, replace=False))
    return {
        "pixels": (pixels[train[picked]], views[picked[asked]], views[picked[viewed]]),
        "mobilenet": (features[train[picked]], view_rows[picked[asked]], view_rows[picked[viewed]]),
        "target": asked,
        "viewed": viewed,
    }


Parts = tuple[Vectors, Vectors, Vectors]
"""Rows of the gallery, of the queries, and of views to fit on."""


def vectors(data: Path, work: Path) -> tuple[dict[str, Parts], NDArray[np.int64], NDArray[np.int64]]:
    """Return each encoder's rows, and which gallery row each query and each view was cut from."""
    from PIL import Image

    from retrieval.encoders.families.nano import WEIGHTS, NanoEncoder, open_nano
    from tools.train_nano.embedding import embed_images
    from tools.train_nano.report import baseline

    seen = photographs(data, work)
    nanos = {"nano@1": open_nano("1", threads=1)}
    second = next((home / "nano-2" for home in (WEIGHTS, work) if (home / "nano-2").exists()), None)
    if second is not None:
        nanos["nano@2"] = NanoEncoder(second, threads=1)

    def embedded(encoder: NanoEncoder, images: NDArray[np.uint8]) -> Vectors:
        file = work / f"nano-{encoder.space.fingerprint[:12]}-{len(images)}.npy"
        if file.exists():
            return unit_rows(np.load(file))
        rows = embed_images(encoder, images)
        np.save(file, rows)
        return rows

    parts = seen["pixels"]
    small = tuple(at_96(data, work / f"mobilenet-96-{len(part)}.npy", part) for part in parts)
    teacher = tuple(unit_rows(np.asarray(rows, dtype=np.float32)) for rows in seen["mobilenet"])
    found = {
        "colour": tuple(unit_rows(baseline([Image.fromarray(x) for x in part])) for part in parts),
        **{name: tuple(embedded(encoder, part) for part in parts) for name, encoder in nanos.items()},
        "mobilenet": teacher,
        "mobilenet-at-96": small,
        "mobilenet-256": narrowed(teacher),
        "mobilenet-at-96-256": narrowed(small),
    }
    return found, seen["target"], seen["viewed"]  # type: ignore[return-value]


def narrowed(parts: tuple[Vectors, ...], *, width: int = 256) -> tuple[Vectors, ...]:
    """Return all rows by their first principal components, of the gallery."""
    _, axes = np.linalg.eigh((parts[0].T @ parts[0]).astype(np.float64))
    kept = np.ascontiguousarray(axes[:, ::-1][:, :width], dtype=np.float32)
    return tuple(unit_rows(rows @ kept) for rows in parts)


def at_96(data: Path, file: Path, images: NDArray[np.uint8]) -> Vectors:
    """Return MobileNetV2's rows of pictures shrunk to 96 pixels ``(n, 1280)``, kept in ``file``."""
    import torch
    from PIL import Image

    from tools.train_nano.targets.teachers import load_mobilenet

    if file.exists():
        return unit_rows(np.load(file))
    network: Any = load_mobilenet(data)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), 64):
            part = [
                np.asarray(Image.fromarray(x).resize((96, 96), Image.Resampling.BICUBIC))
                for x in images[start : start + 64]
            ]
            x = torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).float() / 127.5 - 1
            parts.append(network.embed(x).numpy())
    rows = np.concatenate(parts)
    np.save(file, rows)
    return unit_rows(rows)


def frozen(data: Path, work: Path, *, seeds: int) -> None:
    rows, target, viewed = vectors(data, work)
    results = []
    with watch() as load:
        for old, new in PAIRS:
            if new not in rows:
                print(
                    f"{old} -> {new}: left out, as there is no {new}; python -m tools.train_oca makes it in --work"
                )
                continue
            runs = [
                one(rows[old], rows[new], target, viewed, names=(old, new), seed=seed)
                for seed in range(seeds)
            ]
            results.append(
                {
                    "old": old,
                    "new": new,
                    "widths": [rows[old][0].shape[1], rows[new][0].shape[1]],
                    "methods": summarise(runs),
                    "area_random": spread([run["curve"]["area_random"] for run in runs]),
                    "runs": runs,
                }
            )
            report(results[-1])
    save(
        "upgrade_frozen",
        load=load,
        parameters={
            "gallery": GALLERY,
            "queries": QUERIES,
            "sample": SAMPLE,
            "choosing": CHOOSING,
            "views": VIEWED,
            "seeds": seeds,
        },
        pairs=results,
    )


def one(
    old: Parts,
    new: Parts,
    target: NDArray[np.int64],
    viewed: NDArray[np.int64],
    *,
    names: tuple[str, str],
    seed: int,
) -> dict[str, Any]:
    """Fit and measure one pair of encoders with one draw of the sample and of the queries."""
    draws = np.random.default_rng(seed)
    shuffled = draws.permutation(len(target))
    choose, held = shuffled[:CHOOSING], shuffled[CHOOSING:]
    others = np.setdiff1d(np.arange(GALLERY), target)
    sample = draws.choice(others, SAMPLE, replace=False)  # no photograph that is asked for

    def probe(places: NDArray[np.int64]) -> Probe:
        return Probe(
            gallery_old=old[0],
            gallery_new=new[0],
            old=old[1][places],
            new=new[1][places],
            target=target[places],
        )

    spaces = [
        Space(name=name, dim=rows[0].shape[1], fingerprint=name)
        for name, rows in zip(names, (old, new), strict=True)
    ]
    inside = np.isin(viewed, sample)
    pairs = Pairs(
        old_space=spaces[0],
        new_space=spaces[1],
        old=old[0][sample],
        new=new[0][sample],
        views_old=old[0][viewed[inside]],
        views_new=new[2][inside],
    )
    ways, _ = fit(pairs, probe(choose), method="auto", extends=extension(names))
    measured = measure(ways, probe(held), select=probe(choose), words_old=None, words_new=None)
    best = max(range(len(ways)), key=lambda place: measured[place].new_old)
    curve_probe = probe(held)
    background = background_of(ways[best], probe(choose), old=old[0][sample], new=new[0][sample])
    curve = backfill_curve(ways[best], curve_probe, background)
    asked = probe(held)
    ten = {
        "old_old_at_10": at_ten(asked.old, asked.gallery_old, asked.target),
        "new_new_at_10": at_ten(asked.new, asked.gallery_new, asked.target),
    }
    return {
        "seed": seed,
        "best": ways[best].method,
        "views": int(inside.sum()),
        "methods": {
            result.method: {
                "old_old": result.old_old,
                "new_old": result.new_old,
                "new_new": result.new_new,
                "gain": result.gain,
                "recall_kept": result.new_old / result.new_new,
                "regression_rate": result.regression_rate,
                "map_microseconds": result.map_microseconds,
                "compatible": result.compatible,
                "alpha": way.alpha,
                "map": way.image.method,
            }
            | ten
            | share_at_ten(at_ten(way.queries(asked.new, asked.old), asked.gallery_old, asked.target), ten)
            for way, result in zip(ways, measured, strict=True)
        },
        "curve": curve,
    }


def at_ten(queries: Vectors, gallery: Vectors, target: NDArray[np.int64]) -> float:
    """Return the share of queries whose own photograph is among the ten best."""
    scores = queries @ gallery.T  # (q, g)
    return float(((scores > scores[np.arange(len(target)), target][:, np.newaxis]).sum(axis=1) < K).mean())


def share_at_ten(found: float, ten: dict[str, float]) -> dict[str, float]:
    """Return recall@10 of mapped queries, and the share of a full re-encode's that it is."""
    return {"new_old_at_10": found, "recall_at_10_kept": found / ten["new_new_at_10"]}


def summarise(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return each method's numbers over the seeds."""
    return {
        method: {
            key: spread([float(run["methods"][method][key]) for run in runs])
            for key in (
                "old_old",
                "new_old",
                "new_new",
                "gain",
                "recall_kept",
                "old_old_at_10",
                "new_old_at_10",
                "new_new_at_10",
                "recall_at_10_kept",
                "regression_rate",
                "map_microseconds",
            )
        }
        | {"compatible": [run["methods"][method]["compatible"] for run in runs]}
        for method in runs[0]["methods"]
    }


def report(result: dict[str, Any]) -> None:
    print(f"{result['old']} -> {result['new']} {result['widths']}")
    for method, facts in result["methods"].items():
        print(
            f"  {method:11} old/old {facts['old_old'].median:.3f} new/old {facts['new_old'].median:.3f} "
            f"new/new {facts['new_new'].median:.3f} gain kept {facts['gain'].median:+.3f} "
            f"recall kept {facts['recall_kept'].median:.3f} @10 {facts['recall_at_10_kept'].median:.3f} "
            f"map {facts['map_microseconds'].median:.0f} us {facts['compatible']}"
        )
    print(f"  backfill: {result['area_random'].median:.4f}")


def protocol(data: Path, work: Path, *, seeds: int, sets: list[str]) -> None:
    from benchmarks.upgrade.heads import compare, load_set

    with watch() as load:
        results = [compare(load_set(data, work, name), seeds=seeds) for name in sets]
    save("upgrade_protocol", load=load, sets=results)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--parts", default="frozen,protocol")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", default="caltech101,cats_dogs,groceries", help="for protocol")
    parser.add_argument(
        "--pairs", help="for real, plans and maps: some pairs, the names of each parted by a blank"
    )
    parser.add_argument("--name", default="upgrade_real", help="for real: of the file of results")
    parser.add_argument("--rows", type=int, default=100_000, help="for time")
    options = parser.parse_args()
    data = Path(os.environ["RETRIEVAL_DATA"])
    wanted = None if options.pairs is None else [tuple(pair.split()) for pair in options.pairs.split(",")]
    for part in options.parts.split(","):
        if part == "plans":
            plans(data, options.work, seeds=options.seeds, pairs=wanted)
        elif part == "real":
            real(data, options.work, seeds=options.seeds, wanted=wanted, name=options.name)
        elif part == "maps":
            further_maps(
                data,
                options.work,
                seeds=options.seeds,
                pairs=wanted,
            )
        elif part == "time":
            query_time(options.work, rows=options.rows, repeats=options.seeds)
        elif part == "frozen":
            frozen(data, options.work, seeds=options.seeds)
        else:
            protocol(data, options.work, seeds=options.seeds, sets=options.sets.split(","))


if __name__ == "__main__":
    main()
