"""Run the campaign: ``python -m tests.campaign --minutes N --seed S [--only PART]…``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path


def main() -> int:
    """Run the parts, print the table and write the record; exit 1 where a fault was found."""
    from tests.campaign import frame, world

    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all parts together (default 10)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", action="append", choices=list(frame.PARTS), metavar="PART", help=", ".join(frame.PARTS)
    )
    parser.add_argument("--rounds", type=int, help="of each part, at most")
    parser.add_argument("--round", type=int, help="repeat this one round")
    parser.add_argument("--work", type=Path, help="a folder for what is built and broken (default: memory)")
    parser.add_argument("--out", type=Path, help="the record (default: benchmarks/results/reliability.json)")
    parser.add_argument("--brief", action="store_true", help="shorter rounds, to see that they work")
    options = parser.parse_args()
    work = options.work or (Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None)
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
    world.warm()
    tallies = []
    parts = options.only or list(frame.PARTS)
    end = time.monotonic() + 60 * options.minutes
    for place, part in enumerate(parts):
        now = time.monotonic()
        until = now + (end - now) / (len(parts) - place)
        rounds = 1 if options.round is not None else options.rounds
        tallies.append(
            frame.run_part(
                part,
                seed=options.seed,
                until=until,
                rounds=rounds,
                first=options.round,
                work=work,
                brief=options.brief,
            )
        )
        print(frame.table(tallies[-1:]), flush=True)
    if options.round is None:
        written = frame.write(tallies, options.out) if options.out else frame.write(tallies)
        print(frame.table(tallies), f"\nwritten: {written.name}")
    return 1 if any(tally.faults for tally in tallies) else 0


if __name__ == "__main__":
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
    ):  # before numpy is loaded: a parent of forks has one thread
        os.environ.setdefault(name, "1")
    os.environ.pop("RETRIEVE_INDEX", None)
    sys.exit(main())
