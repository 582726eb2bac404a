"""Are copies found and told from bursts and look-alikes, and what does it cost?

    RETRIEVAL_DATA=… python benchmarks/bench_copies.py                                # every part
    RETRIEVAL_DATA=… python benchmarks/bench_copies.py --parts alterations speed      # some

Photographs that `nano` was not trained on, of the half that `tools/fit_matching` does not use:

- ``alterations``: share of copies that are verified, for each alteration, either way round
- ``others``: other photographs, other exposures and the same overlay on others, that are called the same picture
- ``judged``: pairs that a person looked at (``copies_judged.tsv``), and their relations
- ``promised``: precision that the probability promises beside precision found
- ``search``: the original first among the gallery, by cosine, and after the first 50 hits were checked; false pairs among them
- ``speed``: features of an image, and a pair, by CPU time of one thread
- ``join``, ``sets``: the scripts ``copies_join.py`` and ``copies_sets.py``

Results are added to ``results/copies.json``, part by part.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image as Picture

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.frame import RESULTS, Load, save, watch
from retrieval.matching import Verdict, compare, features
from tools.fit_matching.alterations import COVERS, MORE, PASTES, PLAIN, Alteration, collage, pasted
from tools.fit_matching.exposures import another_exposure
from tools.fit_matching.pairs import is_for_fitting, judged, made, opened
from tools.train_nano.inputs.data import list_photos

SEED = 7
LIMITS = (0.5, 0.9, 0.95, 0.99)


@cache
def names(data: Path) -> list[str]:
    """Return photographs that nano was not trained on and the calibration not fitted on, in a drawn order."""
    free = [
        photo.file for photo in list_photos(data) if photo.split != "train" and not is_for_fitting(photo.file)
    ]
    return [free[place] for place in np.random.default_rng(SEED).permutation(len(free))]


def ways(others: list[Picture]) -> Mapping[str, Alteration]:
    """Name every alteration that is measured."""
    pastes = {f"pasted at {side:.2f}": partial(_pasted, side=side, others=others) for side in PASTES}
    return {**PLAIN, **MORE, **COVERS, **pastes, "collage": partial(collage, others=others)}


def _pasted(image: Picture, rng: np.random.Generator, *, side: float, others: list[Picture]) -> Picture:
    return pasted(image, rng, side=side, ground=others[rng.integers(len(others))])


def alterations(data: Path, number: int) -> dict[str, Any]:
    """Count verified copies."""
    chosen = names(data)[:number]
    images = [opened(data, name) for name in chosen]
    found = [features(image) for image in images]
    shares: dict[str, float] = {}
    for name, alter in ways([opened(data, name) for name in names(data)[number : number + 30]]).items():
        right = []
        for place, image in enumerate(images):
            copy = features(alter(image, np.random.default_rng([SEED, place])))
            right += [compare(copy, found[place]).verified, compare(found[place], copy).verified]
        shares[name] = float(np.mean(right))
        print(f"{name:16} {shares[name]:.3f}", flush=True)
    groups = {
        "plain": PLAIN,
        "covered": COVERS,
        "pasted": [name for name in shares if name.startswith("pasted")],
    }
    return {"photographs": number, "verified": shares} | {
        f"mean_{group}": float(np.mean([shares[name] for name in members]))
        for group, members in groups.items()
    }


def others(data: Path, number: int) -> dict[str, Any]:
    """Count pairs that are not copies and are called so."""
    chosen = names(data)[:number]
    verdicts: dict[str, list[Verdict]] = {"other photographs": [], "another exposure": [], "same overlay": []}
    found = [features(opened(data, name)) for name in chosen]
    rng = np.random.default_rng(SEED)
    for place in range(number):
        for step in range(1, 11):
            verdicts["other photographs"].append(compare(found[place], found[(place + step) % number]))
        again = another_exposure(opened(data, chosen[place]), rng)
        verdicts["another exposure"].append(compare(found[place], features(again)))
    for pair in made(data, chosen[: number // 3], seed=SEED):
        if pair.how == "the same overlay":
            verdicts["same overlay"].append(compare(features(pair.one), features(pair.other)))
    counted = {
        name: {"pairs": len(some), "verified": sum(one.verified for one in some)}
        for name, some in verdicts.items()
    }
    print(json.dumps(counted), flush=True)
    return counted


def judged_pairs(data: Path, _: int) -> dict[str, Any]:
    """Tell relations of pairs that a person looked at; where they were fitted on is counted apart."""
    result = {}
    for fitting in (False, True):
        table: dict[str, dict[str, int]] = {}
        for pair in judged(data, fitting=fitting):
            verdict = compare(features(pair.one), features(pair.other))
            row = table.setdefault(pair.relation, {})
            row[verdict.relation] = row.get(verdict.relation, 0) + 1
        right = sum(row.get(relation, 0) for relation, row in table.items())
        total = sum(sum(row.values()) for row in table.values())
        result["fitted on" if fitting else "held out"] = {"right": right / max(total, 1), "found": table}
    print(json.dumps(result), flush=True)
    return result


def promised(data: Path, number: int) -> dict[str, Any]:
    """Compare the mean probability of what passes a limit with the share that is right."""
    pairs = [*made(data, names(data)[:number], seed=SEED), *judged(data, fitting=False)]
    scores, right = [], []
    relations: dict[str, dict[str, int]] = {}
    for pair in pairs:
        verdict = compare(features(pair.one), features(pair.other))
        scores.append(verdict.probability)
        right.append(pair.relation == "picture")
        row = relations.setdefault(pair.relation, {})
        row[verdict.relation] = row.get(verdict.relation, 0) + 1
    p, truth = np.array(scores), np.array(right)
    result: dict[str, Any] = {"pairs": len(p), "copies": int(truth.sum()), "relations": relations}
    order = np.argsort(-p)
    promise = np.cumsum(p[order]) / np.arange(1, len(p) + 1)
    for wanted in LIMITS[1:]:
        passing = int(np.flatnonzero(promise >= wanted)[-1]) + 1 if (promise >= wanted).any() else 0
        kept = order[:passing]
        result[f"promised {wanted}"] = {
            "found": float(truth[kept].mean()) if passing else 1.0,
            "recall": float(truth[kept].sum() / truth.sum()),
        }
    print(json.dumps(result), flush=True)
    return result


def search(data: Path, number: int) -> dict[str, Any]:
    """Search for altered copies among a gallery, with and without the check."""
    import retrieval

    encoder = retrieval.load_encoder("nano")
    gallery = names(data)[: 20 * number]
    images = {name: opened(data, name) for name in gallery}
    rows = encoder.encode_pixels(np.stack([encoder.preprocess(image) for image in images.values()]))
    known = {name: features(image) for name, image in images.items()}
    table, false = {}, []
    beside = names(data)[
        len(gallery) : len(gallery) + 30
    ]  # not of the gallery: they would be found, and rightly
    pieces = ways([opened(data, name) for name in beside])
    for way, alter in pieces.items():
        before, among, after = [], [], []
        for place in range(number):
            copy = alter(images[gallery[place]], np.random.default_rng([SEED, place]))
            scores = rows @ encoder.encode_pixels(encoder.preprocess(copy)[None])[0]
            nearest = np.argsort(-scores)[:50]
            asked = features(copy)
            same = [other for other in nearest if compare(asked, known[gallery[other]]).verified]
            false += [(way, gallery[place], gallery[other]) for other in same if other != place]
            before.append(nearest[0] == place)
            among.append(place in nearest)
            after.append((same or [nearest[0]])[0] == place)
        table[way] = {"before": np.mean(before), "among 50": np.mean(among), "after": np.mean(after)}
        print(f"{way:16} {table[way]}", flush=True)
    return {
        "gallery": len(gallery), "queries": number * len(pieces), "compared": 50 * number * len(pieces),
        "first": {way: {name: float(value) for name, value in row.items()} for way, row in table.items()},
        "false": false,
    }  # fmt: skip


def speed(data: Path, number: int) -> dict[str, Any]:
    """Measure CPU time of one thread: other processes on the machine make it longer, too."""
    images = [opened(data, name) for name in names(data)[:number]]
    copies = [PLAIN["crop 50 %"](image, np.random.default_rng(place)) for place, image in enumerate(images)]
    found, altered = [features(image) for image in images], [features(image) for image in copies]

    def timed(work: Callable[..., object], arguments: Iterator[tuple[Any, ...]]) -> dict[str, float]:
        took = []
        for some in arguments:
            start = time.thread_time()
            work(*some)
            took.append(1e3 * (time.thread_time() - start))
        return {"median_ms": float(np.median(took)), "least_ms": float(np.min(took))}

    result = {
        "features": timed(features, ((image,) for image in images)),
        "copies": timed(compare, zip(found, altered, strict=True)),
        "other pictures": timed(compare, zip(found, found[1:] + found[:1], strict=True)),
        "bytes": float(np.mean([len(one.to_bytes()) for one in found])),
        "load": os.getloadavg()[0],
    }
    print(json.dumps(result), flush=True)
    return result


PARTS: Mapping[str, tuple[Callable[[Path, int], dict[str, Any]], int]] = {
    "alterations": (alterations, 100), "others": (others, 100), "judged": (judged_pairs, 0), "promised": (promised, 60),
    "search": (search, 40), "speed": (speed, 100),
}  # fmt: skip
ELSEWHERE = {"join": "copies_join", "sets": "copies_sets"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("RETRIEVAL_DATA"))
    parser.add_argument("--parts", nargs="+", choices=[*PARTS, *ELSEWHERE], default=[*PARTS])
    parser.add_argument("--photographs", type=int, help="how many are altered; each part has its own number")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the photographs' folder: --data DIR or RETRIEVAL_DATA")
    for part in options.parts:
        print(f"== {part}", flush=True)
        if part in ELSEWHERE:
            script = Path(__file__).with_name(f"{ELSEWHERE[part]}.py")
            subprocess.run([sys.executable, str(script)], check=True)
            continue
        work, usual = PARTS[part]
        with watch() as load:
            facts = work(Path(options.data), options.photographs or usual)
        _kept(part, facts, load)


def _kept(part: str, facts: dict[str, Any], load: Load) -> None:
    """Write a part's facts beside those of other parts."""
    path = RESULTS / "copies.json"
    parts = json.loads(path.read_text()).get("parts", {}) if path.exists() else {}
    save("copies", load=load, parts=parts | {part: facts})


if __name__ == "__main__":
    main()
