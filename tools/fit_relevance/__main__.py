"""Fit when a hit is what was asked, for the versions of nano, and write what ships with the package.

    python -m tools.fit_relevance --data DIR [--work DIR] [--encoder 1] [--encoder 2]

Photographs that nano was not trained on are asked for, each thing once where it is and once where it is not. What is printed was
measured on each domain by a calibration that was fitted on the others; what is written was fitted on all.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import retrieval.collection.relevance as room
from retrieval.collection.relevance import Background, fit
from retrieval.collection.relevance.match_signals import VERSION
from retrieval.encoders.families.nano import open_nano
from tools.fit_relevance.asking import KINDS, ask
from tools.fit_relevance.judging import judge
from tools.fit_relevance.photographs import gather

TARGET = Path(room.__file__).parent
SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="where vectors are kept between runs")
    parser.add_argument("--encoder", action="append", choices=["1", "2"])
    options = parser.parse_args()
    for version in options.encoder or ["1", "2"]:
        encoder = open_nano(version, threads=1)
        photographs = gather(options.data, encoder, options.work)
        asked = list(ask(photographs, encoder, seed=SEED))
        facts: dict[str, Any] = {"space": encoder.space.name, "fingerprint": encoder.space.fingerprint}
        facts |= {"signals": VERSION, "made_by": "python -m tools.fit_relevance"}
        kinds = {}
        for kind in KINDS:
            some = [one for one in asked if one.kind == kind]
            measured = judge(some)
            print(json.dumps({"encoder": version, "kind": kind, "trials": len(some), **measured}, indent=1))
            found = fit([one.trial for one in some], error=measured["covered"]["error"])
            kinds[kind] = found.to_json() | {"trials": len(some)}
        Background(photographs.background).write(TARGET / f"nano-{version}.npz")
        (TARGET / f"nano-{version}.json").write_text(json.dumps(facts | {"kinds": kinds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
