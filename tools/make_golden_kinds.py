"""Write a golden collection of each index kind as the versions before format 3 wrote them; run once, at one of those.

    python -m tools.make_golden_kinds

Kept beside what it made, to say how: with a later version it would write a later format, so it refuses.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import retrieval
from indexes.derivation import build_plan as planning
from indexes.derivation import funnel_plan, revision
from indexes.engine.tune import Tuned
from indexes.generation.manifest import FORMAT
from indexes.vectors.space import Space
from tools.make_golden import DIM, GOLDEN, SEED, describe

ROWS, GONE = 400, 10

NESTED = Space(name="golden-nested", dim=DIM, fingerprint="golden-nested", nesting=(4, 8, 16, 32))
PLAIN = Space(name="golden", dim=DIM, fingerprint="golden")

KINDS: dict[str, tuple[Space, dict[str, Any]]] = {
    "funnel": (NESTED, {"kind": "flat", "dim": 8}),
    "rotated": (PLAIN, {"kind": "flat", "dim": 8}),
    "coarse": (NESTED, {"kind": "IVF8,RaBitQfs", "dim": 16}),
    "ivfpq": (PLAIN, {"kind": "ivfpq"}),
    "ivfrabitq": (PLAIN, {"kind": "ivfrabitq"}),
    "prefix": (PLAIN, {"kind": "ivfrabitq", "dim": 16}),
    "fastscan": (PLAIN, {"kind": "OPQ8,IVF8,PQ8x4fs"}),
    "graph": (PLAIN, {"kind": "IVF8_HNSW4,SQ8"}),
}


@contextmanager
def replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """Let a module's function be another within the block."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _two_stages(choose: Callable[..., Tuned], *args: Any, **options: Any) -> Tuned:
    """Plan a funnel with a middle stage: measured on so few rows, none is worth one."""
    tuned = choose(*args, **options)
    return replace(tuned, chosen=replace(tuned.chosen, stages=((8, 200, None), (16, 60, None))))


def make(home: Path, name: str) -> None:
    """Build one collection: an index, 10 rows behind it, 10 tombstones."""
    space, options = KINDS[name]
    rng = np.random.default_rng(SEED)
    vectors = rng.standard_normal((ROWS, DIM)).astype(np.float32) * np.linspace(1.5, 0.5, DIM)
    keys = [f"folder {number % 7}/{number}.jpg" for number in range(ROWS)]
    build = partial(retrieval.build_index_from_vectors, home, space=space, device="cpu")
    plan = planning.plan

    def forced(*args: Any, **asked: Any) -> Any:
        return plan(*args, **asked | ({"coarse": 4} if name == "coarse" else {}))

    with (
        replaced(revision, "plan", forced),
        replaced(funnel_plan, "plan", partial(_two_stages, funnel_plan.plan)),
    ):
        build(vectors[: ROWS - GONE], keys[: ROWS - GONE], **options)
        build(vectors[GONE:], keys[GONE:], prune=True)


def main() -> None:
    """Write those that are not there."""
    if FORMAT > 2:
        raise SystemExit(f"this version writes format {FORMAT}: these collections are of versions before 3")
    for name in KINDS:
        target = GOLDEN / f"format-1-{name}"
        if target.exists():
            continue
        with tempfile.TemporaryDirectory() as temporary:
            home = Path(temporary) / "collection"
            make(home, name)
            answers = describe(home)
            target.mkdir(parents=True)
            shutil.copytree(
                home / ".retrieve", target / "collection", ignore=shutil.ignore_patterns("lock.mdb", "lock")
            )
        (target / "answers.json").write_text(json.dumps(answers) + "\n")


if __name__ == "__main__":
    main()
