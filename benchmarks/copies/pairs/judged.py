"""Tell the relations of pairs that a person looked at."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.copies.run import Run
from retrieval.matching import compare, features
from tools.fit_matching.pairs import judged


def measure(run: Run) -> dict[str, Any]:
    """Tell relations of pairs that a person looked at; where they were fitted on is counted apart."""
    result = {}
    for fitting in (False, True):
        table: dict[str, dict[str, int]] = {}
        for pair in judged(run.data, fitting=fitting):
            verdict = compare(features(pair.one), features(pair.other))
            row = table.setdefault(pair.relation, {})
            row[verdict.relation] = row.get(verdict.relation, 0) + 1
        right = sum(row.get(relation, 0) for relation, row in table.items())
        total = sum(sum(row.values()) for row in table.values())
        result["fitted on" if fitting else "held out"] = {"right": right / max(total, 1), "found": table}
    print(json.dumps(result), flush=True)
    return result
