"""Averages over attacks, and what was asked for beside them."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.activation.measures import AGAIN, QUALITIES

STAGES = ("codes, one list", "codes, tuned", "served")
GAP, LEAST_GAIN = 0.30, 0.15  # what the gain is held to where codes lose much
LEAST_RISE = 0.05  # of the cosine to the code


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Average a run's numbers, and hold them to what was asked for."""
    attacks, again = result["attacks"], result["after re-encoding"]
    lines: dict[str, Any] = {}
    for stage in STAGES:
        for measure in ("recall_at_1", "micro_ap"):
            passive, active = (mean(attacks, which, stage, measure) for which in ("passive", "active"))
            exact = mean(attacks, "passive", "exact", measure)
            gap = exact - passive
            lines[f"{stage}, {measure}"] = {
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
    for quality in QUALITIES:
        kept = {name: facts for name, facts in again.items() if name.startswith(f"jpeg {quality}")}
        lines[f"after jpeg {quality}, codes, one list"] = {
            which: round(mean(kept, which, "codes, one list"), 4) for which in ("passive", "active")
        }
    same = {name: attacks[name] for name in AGAIN}
    lines["the same attacks without it, codes, one list"] = {
        which: round(mean(same, which, "codes, one list"), 4) for which in ("passive", "active")
    }
    lines["asked for"] = _asked_for(lines, result["fidelity"])
    return lines


def _asked_for(lines: dict[str, Any], quality: dict[str, Any]) -> dict[str, bool]:
    codes = lines["codes, one list, recall_at_1"]
    rise = quality["cosine_after"]["mean"] - quality["cosine_before"]["mean"]
    return {
        "gain at least half of the gap": codes["gain"] >= codes["gap"] / 2,
        f"gain at least {LEAST_GAIN} where the gap is {GAP}": codes["gap"] < GAP
        or codes["gain"] >= LEAST_GAIN,
        "PSNR 42 dB mean, 38 least": quality["psnr"]["mean"] >= 42 and quality["psnr"]["least"] >= 38,
        "SSIM 0.98 mean": quality["ssim"]["mean"] >= 0.98,
        f"cosine to the code rises by {LEAST_RISE}": rise >= LEAST_RISE,
        "false matches do not rise": lines["false"]["active"] <= lines["false"]["passive"],
        "false matches above the threshold do not rise": lines["false above threshold"]["active"]
        <= lines["false above threshold"]["passive"],
    }


def mean(attacks: dict[str, Any], which: str, stage: str, measure: str = "recall_at_1") -> float:
    """Average over attacks."""
    return float(np.mean([facts[which][stage][measure] for facts in attacks.values()]))
