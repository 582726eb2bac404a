"""Are copies found and told from bursts and look-alikes, and what does it cost?

    RETRIEVAL_DATA=… python benchmarks/bench_copies.py                                # every part
    RETRIEVAL_DATA=… python benchmarks/bench_copies.py --parts alterations speed      # some
    RETRIEVAL_DATA=… python benchmarks/bench_copies.py --parts micro-ap false-pairs --work DIR --minutes 60

Photographs that `nano` was not trained on, of the half that `tools/fit_matching` does not use. Each part is a module of `copies/`:

- ``alterations``: share of copies that are verified, for each alteration, either way round
- ``others``: other photographs, other exposures and the same overlay on others, that are called the same picture
- ``judged``: pairs that a person looked at (``copies_judged.tsv``), and their relations
- ``promised``: precision that the probability promises beside precision found
- ``search``: the original first among the gallery, by cosine, and after the first 50 hits were checked; false pairs among them
- ``views``: small crops and pictures inside pictures found by `build_index(views=…)`, and what views cost
- ``speed``: features of an image, and a pair, by CPU time of one thread
- ``micro-ap``: micro-AP over `attacks-2`, originals among 30,000 and as many queries without one; the first run takes 5 minutes of a core where vectors are kept
- ``false-pairs``: false verified pairs among the first 50 hits of 20,000 pictures, the likest first; it stops after ``--minutes`` and continues from ``--work``
- ``peers``: hashes of imagehash and imagededup and its network beside ours, for the nine alterations
- ``activated``: what activation and the check add for published images, each alone and together

Results are added to ``results/copies.json``, part by part; each part says when and how it was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.copies import speed
from benchmarks.copies.pairs import alterations, false_pairs, judged, others, promised
from benchmarks.copies.run import Run
from benchmarks.copies.searches import activated, micro_ap, peers, search, views
from benchmarks.frame import RESULTS, Load, command, save, watch

PARTS: Mapping[str, tuple[Callable[[Run], dict[str, Any]], int]] = {
    "alterations": (alterations.measure, 100),
    "others": (others.measure, 100),
    "judged": (judged.measure, 0),
    "promised": (promised.measure, 60),
    "search": (search.measure, 40),
    "speed": (speed.measure, 100),
    "views": (views.measure, 100),
    "micro-ap": (micro_ap.measure, 500),
    "false-pairs": (false_pairs.measure, 0),
    "peers": (peers.measure, 100),
    "activated": (activated.measure, 100),
}
"""What is measured, and on how many photographs where no number is given."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("RETRIEVAL_DATA"))
    parser.add_argument("--parts", nargs="+", choices=[*PARTS], default=[*PARTS])
    parser.add_argument("--photographs", type=int, help="how many are altered; each part has its own number")
    parser.add_argument("--work", type=Path, help="a folder that keeps vectors and the like for the next run")
    parser.add_argument("--minutes", type=float, default=10.0, help="when parts stop that can stop anywhere")
    parser.add_argument("--gallery", type=int, help="images of a gallery; each part has its own number")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the photographs' folder: --data DIR or RETRIEVAL_DATA")
    with tempfile.TemporaryDirectory() as passing:
        work = options.work or Path(passing)
        work.mkdir(parents=True, exist_ok=True)
        for part in options.parts:
            print(f"== {part}", flush=True)
            measure, usual = PARTS[part]
            number = options.photographs or usual
            with watch() as load:
                facts = measure(
                    Run(
                        data=Path(options.data),
                        number=number,
                        work=work,
                        minutes=options.minutes,
                        gallery=options.gallery,
                    )
                )
            _kept(part, facts, load)


def _kept(part: str, facts: dict[str, Any], load: Load) -> None:
    """Write a part's facts beside those of other parts."""
    path = RESULTS / "copies.json"
    parts = json.loads(path.read_text()).get("parts", {}) if path.exists() else {}
    how = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command(),
        "load_cores": asdict(load),
    }
    save("copies", load=load, parts=parts | {part: {"how": how} | facts})


if __name__ == "__main__":
    main()
