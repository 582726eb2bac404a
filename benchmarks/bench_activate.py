"""Are activated images found again more often after they were altered, and what do they lose?

    RETRIEVAL_DATA=… python benchmarks/bench_activate.py [--images 500] [--work DIR]

All photographs of the data (about 31,900, short side 128 pixels) are one collection; ``--images`` of them, drawn by a seed,
are activated at their native size for each kind of index, once as it comes and for IVF-PQ once more with ``--robust``. The
other rows are distractors. Passive (the original) and active (the copy) are altered alike and searched by codes alone, at
one list probed and at the lists that the build measured, and as served. The whole takes about 20 minutes on two cores.
Results are written after each kind; with ``--work`` the collection, the copies and the vectors are kept, and a run that was
stopped continues.

Cosines are those to the point where the index keeps the original. A false match is a first hit, as served, that is another
image; and, stricter, another image whose cosine passes the threshold that 1 % of the unaltered originals' best wrong rows pass.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

import retrieval
from benchmarks.frame import RESULTS, save, spread, watch
from retrieval.attacks import ATTACKS, reencoded
from retrieval.images import content_hash, read_file
from retrieval.survival import attacked, scores

KINDS = ("IVF512,PQ8", "OPQ16_64,IVF256,PQ16", "PCA64,LSH", "ivfrabitq")
ROBUST = KINDS[0]
AGAIN = (
    "none",
    "contrast 2",
    "blur",
    "crop 0.5",
    "resize 0.5",
)  # attacks upon files compressed again as JPEG
SEED = 20_221
GAP, LEAST_GAIN = 0.30, 0.15  # what the gain is held to where codes lose much
SPEED_IMAGES, SPEED_SIDE = 32, 512
PICTURE_SIDE = 320


def chosen_images(collection: retrieval.Collection, count: int) -> tuple[list[Path], list[frozenset[int]]]:
    """Draw images of the collection; return their files and the rows that are right for each (exact copies too)."""
    by_path = sorted(collection.ids_by_path().items())
    order = np.random.default_rng(SEED).permutation(len(by_path))[:count]
    files = [collection.root / by_path[int(number)][0] for number in order]
    right = [frozenset(collection.ids_of_content(content_hash(read_file(file))).tolist()) for file in files]
    return files, right


def vectors_of(
    encoder: Any, files: list[Path], name: str, cache: Path, *, quality: int | None = None
) -> np.ndarray:
    """Encode altered copies of files, or take the vectors from an earlier run."""
    path = cache / f"{name.replace(' ', '_')}{f'.jpeg{quality}' if quality else ''}.npy"
    if path.exists():
        return np.load(path)
    again = None if quality is None else (lambda image: reencoded(image, quality))
    vectors = attacked(encoder, files, name, then=again)
    cache.mkdir(parents=True, exist_ok=True)
    np.save(path, vectors)
    return vectors


def found(
    collection: retrieval.Collection, vectors: np.ndarray, right: list[frozenset[int]]
) -> dict[str, Any]:
    """Search altered copies in every way."""
    tuned = collection.manifest.index.nprobe
    served = collection.search_vectors(vectors, k=1)
    wrong = np.array([int(row) not in ids for row, ids in zip(served.ids[:, 0], right, strict=True)])
    return {
        "codes, one list": scores(collection.search_codes(vectors, k=1, nprobe=1), right),
        "codes, tuned": scores(collection.search_codes(vectors, k=1, nprobe=tuned), right),
        "served": scores(served, right),
        "exact": scores(collection.search_vectors(vectors, k=1, exact=True), right),
        "false": round(float(wrong.mean()), 4),
    }


def best_wrong(
    collection: retrieval.Collection, vectors: np.ndarray, right: list[frozenset[int]]
) -> np.ndarray:
    """Return each query's best cosine to a wrong row, by exact search: ``(n,)``."""
    near = collection.search_vectors(vectors, k=8, exact=True)
    other = np.array(
        [[int(row) not in ids for row in rows] for rows, ids in zip(near.ids, right, strict=True)]
    )
    return np.where(other, near.scores, -1).max(axis=1)


def measure(
    collection: retrieval.Collection,
    files: list[Path],
    right: list[frozenset[int]],
    copies: dict[Path, Path],
    work: Path,
    label: str,
) -> dict[str, Any]:
    """Compare passive with active copies of one run; files that were refused count as passive ones."""
    encoder = collection.encoder
    published = [copies.get(file, file) for file in files]
    aim = collection.aim()
    rows = collection.vectors([min(ids) for ids in right])
    points = aim.points(rows)
    cells = aim.cells(rows)[:, 0] if aim.nlist else None
    attacks: dict[str, Any] = {}
    threshold = 0.0
    for name in ATTACKS:
        both = {
            "passive": vectors_of(encoder, files, name, work / "vectors" / "passive"),
            "active": vectors_of(encoder, published, name, work / "vectors" / label),
        }
        attacks[name] = {}
        for which, vectors in both.items():
            facts = found(collection, vectors, right)
            facts["cosine"] = round(float(aim.cosines(vectors, points).mean()), 4)
            if cells is not None:
                facts["same cell"] = round(float((aim.cells(vectors)[:, 0] == cells).mean()), 4)
            wrong = best_wrong(collection, vectors, right)
            if name == "none" and which == "passive":
                threshold = float(np.quantile(wrong, 0.99))
            facts["false above threshold"] = round(float((wrong >= threshold).mean()), 4)
            attacks[name][which] = facts
    again = {}
    for quality in (90, 75):
        for name in AGAIN:
            passive = vectors_of(encoder, files, name, work / "vectors" / "passive", quality=quality)
            active = vectors_of(encoder, published, name, work / "vectors" / label, quality=quality)
            again[f"jpeg {quality}, {name}"] = {
                "passive": found(collection, passive, right),
                "active": found(collection, active, right),
            }
    return {"attacks": attacks, "after re-encoding": again, "threshold": round(threshold, 4)}


def mean(attacks: dict[str, Any], which: str, stage: str, measure: str = "recall_at_1") -> float:
    """Average over attacks."""
    return float(np.mean([facts[which][stage][measure] for facts in attacks.values()]))


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Average a kind's numbers, and hold them to what was asked for."""
    attacks, again, quality = result["attacks"], result["after re-encoding"], result["fidelity"]
    lines: dict[str, Any] = {}
    for stage in ("codes, one list", "codes, tuned", "served"):
        for measure_ in ("recall_at_1", "micro_ap"):
            passive, active = (mean(attacks, which, stage, measure_) for which in ("passive", "active"))
            exact = mean(attacks, "passive", "exact", measure_)
            gap = exact - passive
            lines[f"{stage}, {measure_}"] = {
                "passive": round(passive, 4),
                "active": round(active, 4),
                "exact": round(exact, 4),
                "gain": round(active - passive, 4),
                "gap": round(gap, 4),
                "share of the gap": round((active - passive) / gap, 3) if gap > 0.001 else None,
            }
    for name in ("cosine", "same cell", "false", "false above threshold"):
        if name in attacks["none"]["passive"]:
            lines[name] = {
                which: round(float(np.mean([facts[which][name] for facts in attacks.values()])), 4)
                for which in ("passive", "active")
            } | {f"{which}, unaltered": attacks["none"][which][name] for which in ("passive", "active")}
    for quality_ in (90, 75):
        kept = {name: facts for name, facts in again.items() if name.startswith(f"jpeg {quality_}")}
        lines[f"after jpeg {quality_}, codes, one list"] = {
            which: round(mean(kept, which, "codes, one list"), 4) for which in ("passive", "active")
        }
    same = {name: attacks[name] for name in AGAIN}
    lines["the same attacks without it, codes, one list"] = {
        which: round(mean(same, which, "codes, one list"), 4) for which in ("passive", "active")
    }
    codes = lines["codes, one list, recall_at_1"]
    lines["asked for"] = {
        "gain at least half of the gap": codes["gain"] >= codes["gap"] / 2,
        f"gain at least {LEAST_GAIN} where the gap is {GAP}": codes["gap"] < GAP
        or codes["gain"] >= LEAST_GAIN,
        "PSNR 42 dB mean, 38 least": quality["psnr"]["mean"] >= 42 and quality["psnr"]["least"] >= 38,
        "SSIM 0.98 mean": quality["ssim"]["mean"] >= 0.98,
        "cosine to the code rises by 0.05": quality["cosine_after"]["mean"] - quality["cosine_before"]["mean"]
        >= 0.05,
        "false matches do not rise": lines["false"]["active"] <= lines["false"]["passive"],
        "false matches above the threshold do not rise": lines["false above threshold"]["active"]
        <= lines["false above threshold"]["passive"],
    }
    return lines


def activated(
    collection: retrieval.Collection, files: list[Path], out: Path, *, robust: bool
) -> tuple[dict[Path, Path], dict[str, Any]]:
    """Activate files, or take the copies of an earlier run; return original → copy, and what they are like."""
    listed = out / "report.json"
    if not listed.exists():
        shutil.rmtree(out, ignore_errors=True)
        began = time.perf_counter()
        results = retrieval.activate(files, out=out / "copies", index=collection.directory, robust=robust)
        seconds = time.perf_counter() - began
        text = json.dumps({"seconds": seconds, "results": [result.to_json() for result in results]})
        listed.write_text(text, encoding="utf-8")
    report = json.loads(listed.read_text(encoding="utf-8"))
    results = report["results"]
    done = [row for row in results if row["output"]]
    copies = {Path(row["path"]): Path(row["output"]) for row in done}
    facts: dict[str, Any] = {
        "images": len(results),
        "activated": sum(row["status"] == "activated" for row in results),
        "scaled back": sum(row["status"] == "scaled_back" for row in results),
        "refused": [row["reason"].rpartition("/")[2] for row in results if not row["output"]],
        "images a second": round(len(results) / report["seconds"], 2),
    }
    for name in ("psnr", "ssim", "linf", "cosine_before", "cosine_after"):
        values = [row[name] for row in done if row[name] is not None]
        facts[name] = {
            "mean": round(float(np.mean(values)), 4),
            "deviation": round(float(np.std(values)), 4),
            "least": min(values),
            "most": max(values),
        }
    return copies, facts


def unique_names(files: list[Path], folder: Path) -> list[Path]:
    """Link the files under names of their own, since copies of one run lie in one folder."""
    folder.mkdir(parents=True, exist_ok=True)
    links = []
    for number, file in enumerate(files):
        link = folder / f"{number:05d}{file.suffix}"
        if not link.exists():
            link.symlink_to(file)
        links.append(link)
    return links


def speed(collection: retrieval.Collection, files: list[Path], work: Path, repeats: int) -> dict[str, Any]:
    """Measure whole calls on images enlarged so that their short side is 512 pixels, the square middle of each."""
    folder = work / "large"
    folder.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(files[:SPEED_IMAGES]):
        with Image.open(file) as image:
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            square = image.convert("RGB").crop((left, top, left + side, top + side))
            square.resize((SPEED_SIDE, SPEED_SIDE), Image.Resampling.BICUBIC).save(
                folder / f"{number:03d}.png"
            )
    rates: dict[str, list[float]] = {"plain": [], "robust": []}
    for round_ in range(repeats):
        for name, values in rates.items():
            out = work / "large-out" / f"{name}{round_}"
            shutil.rmtree(out, ignore_errors=True)
            began = time.perf_counter()
            results = retrieval.activate(folder, out=out, index=collection.directory, robust=name == "robust")
            values.append(
                sum(result.output is not None for result in results) / (time.perf_counter() - began)
            )
    return {
        "images": min(SPEED_IMAGES, len(files)),
        "pixels": [SPEED_SIDE, SPEED_SIDE],
        "images a second": {name: spread(values) for name, values in rates.items()},
    }


def picture(collection: retrieval.Collection, work: Path) -> dict[str, Any]:
    """Show before, after and ten times the difference of NASA's portrait of Eileen Collins (public domain, in scikit-image)."""
    from skimage.data import astronaut

    from retrieval.fidelity import psnr, ssim

    folder = work / "picture"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    Image.fromarray(astronaut()).resize((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS).save(
        folder / "before.png"
    )
    (result,) = retrieval.activate(folder / "before.png", out=folder / "out", index=collection.directory)
    if result.output is None:
        return {"refused": result.reason}
    before, after = (
        np.asarray(Image.open(path).convert("RGB")) for path in (folder / "before.png", result.output)
    )
    difference = np.clip(128 + 10 * (after.astype(int) - before), 0, 255).astype(np.uint8)
    sheet = Image.fromarray(np.concatenate([before, after, difference], axis=1))
    sheet.save(RESULTS / "activate.jpg", quality=90, subsampling=0, optimize=True)
    return {
        "file": "activate.jpg",
        "shows": "before, after, 128 + 10 x the difference",
        "picture": "NASA's portrait of Eileen Collins, public domain, skimage.data.astronaut()",
        "psnr": round(psnr(before, after), 2),
        "ssim": round(ssim(before, after), 4),
        "cosine": [result.cosine_before, result.cosine_after],
    }


def table(record: dict[str, Any]) -> str:
    """Write the results as Markdown."""
    text = ["# Active indexing: altered copies found again\n"]
    text.append(
        f"{record['parameters']['images']} photographs activated at their native size (short side 128 pixels), "
        f"{record['parameters']['rows']:,} rows in the collection, nano; recall@1, passive → active. "
        "Codes: the first stage alone, one list probed, nothing reranked. "
        f"`{record['command']}`, all numbers in `{record['benchmark']}.json`.\n"
    )
    for label, result in record["kinds"].items():
        fidelity, lines = result["fidelity"], result["summary"]
        text.append(f"## {label}\n")
        text.append(
            f"{fidelity['activated']} activated, {fidelity['scaled back']} scaled back, {len(fidelity['refused'])} refused; "
            f"PSNR {fidelity['psnr']['mean']:.2f} dB (least {fidelity['psnr']['least']:.2f}), "
            f"SSIM {fidelity['ssim']['mean']:.4f} (least {fidelity['ssim']['least']:.3f}), "
            f"largest change {fidelity['linf']['most']} of 255; cosine to the code "
            f"{fidelity['cosine_before']['mean']:.3f} → {fidelity['cosine_after']['mean']:.3f}; "
            f"{fidelity['images a second']} images a second.\n"
        )
        text.append(
            "| attack | codes | codes, tuned lists | as served | exact, passive | cosine | same cell |"
        )
        text.append("|---|---|---|---|---|---|---|")
        for name, facts in result["attacks"].items():
            text.append(_row(name, facts))
        for name in ("codes, one list, recall_at_1", "codes, tuned, recall_at_1", "served, recall_at_1"):
            line = lines[name]
            share = "-" if line["share of the gap"] is None else f"{line['share of the gap']:.2f}"
            text.append(
                f"\nMean, {name.removesuffix(', recall_at_1')}: {line['passive']:.3f} → {line['active']:.3f}, exact "
                f"{line['exact']:.3f}; gain {line['gain']:+.3f}, gap {line['gap']:.3f}, share of the gap {share}."
            )
        plain = lines["the same attacks without it, codes, one list"]
        text.append(
            f"\nFive attacks ({', '.join(AGAIN)}), codes: {plain['passive']:.3f} → {plain['active']:.3f}; on the file compressed "
            + "; ".join(
                f"as JPEG {quality} before: {line['passive']:.3f} → {line['active']:.3f}"
                for quality in (90, 75)
                for line in [lines[f"after jpeg {quality}, codes, one list"]]
            )
            + "."
        )
        false, above = lines["false"], lines["false above threshold"]
        text.append(
            f"\nFalse matches: first hit is another image {false['passive']:.3f} → {false['active']:.3f}; another image above the "
            f"threshold {above['passive']:.3f} → {above['active']:.3f}.\n"
        )
        text += [f"- {'met' if kept else '**missed**'}: {what}" for what, kept in lines["asked for"].items()]
        text.append("")
    if "speed" in record:
        rates = record["speed"]["images a second"]
        text.append("## Speed\n")
        text.append(
            f"{record['speed']['images']} images of 512 x 512, whole calls: "
            + "; ".join(
                f"{name} {rate.median:.2f} images a second ({rate.min:.2f} to {rate.max:.2f})"
                for name, rate in rates.items()
            )
            + ".\n"
        )
    if "file" in record.get("picture", {}):
        text.append(
            f"![{record['picture']['shows']}]({record['picture']['file']})\n\n{record['picture']['picture']}.\n"
        )
    return "\n".join(text)


def _row(name: str, facts: dict[str, Any]) -> str:
    passive, active = facts["passive"], facts["active"]
    stages = [
        f"{passive[stage]['recall_at_1']:.2f} → {active[stage]['recall_at_1']:.2f}"
        for stage in ("codes, one list", "codes, tuned", "served")
    ]
    cell = f"{passive['same cell']:.2f} → {active['same cell']:.2f}" if "same cell" in passive else "-"
    exact = f"{passive['exact']['recall_at_1']:.2f}"
    return f"| {name} | {' | '.join(stages)} | {exact} | {passive['cosine']:.2f} → {active['cosine']:.2f} | {cell} |"


def main() -> None:
    """Run the benchmark and keep its results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--speed-repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, help="keep everything here, and continue from it")
    parser.add_argument("--name", default="activate", help="of the results' files")
    options = parser.parse_args()
    data = Path(os.environ["RETRIEVAL_DATA"])
    with tempfile.TemporaryDirectory() as temporary, watch() as load:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        index = work / "collection"
        exclude = ["/teachers"]
        began = time.perf_counter()
        report = retrieval.build_index(
            data, index=index, exclude=exclude, kind=None if index.exists() else "flat"
        )
        print(
            f"{report.images:,} rows, {report.encoded:,} encoded in {time.perf_counter() - began:.0f} s",
            flush=True,
        )
        facts: dict[str, Any] = {
            "parameters": {
                "images": options.images,
                "rows": report.images,
                "distractors": report.images - options.images,
                "encoder": report.encoder,
                "size": "native, short side 128 pixels",
            },
            "kinds": {},
        }
        runs = [(kind, False) for kind in options.kinds] + [
            (kind, True) for kind in options.kinds if kind == ROBUST
        ]
        for kind, robust in sorted(runs, key=lambda run: options.kinds.index(run[0])):
            label = f"{kind}{', robust' if robust else ''}"
            began = time.perf_counter()
            retrieval.build_index(data, index=index, exclude=exclude, kind=kind)
            with retrieval.open(index) as collection:
                files, right = chosen_images(collection, options.images)
                links = unique_names(files, work / "originals")
                copies, fidelity = activated(collection, links, work / "runs" / label, robust=robust)
                result = measure(collection, links, right, copies, work, label)
                result["fidelity"] = fidelity
                result["index"] = {
                    key: value
                    for key, value in collection.info().items()
                    if key
                    in ("kind", "factory", "dim", "bytes_per_vector", "recall_at_10", "recall_at_10_text")
                } | {
                    "nprobe": collection.manifest.index.nprobe,
                    "shortlist": collection.manifest.index.shortlist,
                }
                result["summary"] = summary(result)
                facts["kinds"][label] = result
                if label == ROBUST:
                    facts["speed"] = speed(collection, files, work, options.speed_repeats)
                    facts["picture"] = picture(collection, work)
            codes = result["summary"]["codes, one list, recall_at_1"]
            print(f"{label}: {json.dumps(codes)} in {time.perf_counter() - began:.0f} s", flush=True)
            for what, kept in result["summary"]["asked for"].items():
                print(f"    {'met' if kept else 'missed'}: {what}", flush=True)
            path = save(options.name, load=load, **facts)
            record = json.loads(path.read_text(encoding="utf-8")) | facts
            path.with_suffix(".md").write_text(table(record), encoding="utf-8")
    save(options.name, load=load, **facts)


if __name__ == "__main__":
    main()
