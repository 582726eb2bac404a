"""Train the last stage and the head against old vectors, old prototypes and the teacher."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from retrieval.compatible import OrthogonalCompatible, class_prototypes
from retrieval.encoders.nano_torch import ImageTower
from retrieval.training import MatryoshkaLoss, info_nce, mean_cosine_gap
from tools.train_nano.train import NESTING
from tools.train_oca.data import BATCH, CLASSES, Data
from tools.train_oca.tower import EXTRA, OLD, Last

RATE, TEMPERATURE, WARM = 6e-4, 0.07, 100
WEIGHTS_OF = {"oca": 0.05, "old": 1.0, "contrast": 0.3, "whole": 1.0}


def fit(data: Data, tower: ImageTower, *, minutes: float, threads: int) -> dict[str, Any]:
    """Train for so many minutes of ``threads`` cores; the weights left in ``tower`` are averaged over the last steps.

    The schedule follows this process's own CPU time, so that a busy machine makes it longer and not worse.
    """
    prototypes = class_prototypes(torch.from_numpy(data.old), torch.from_numpy(data.group), classes=CLASSES)
    loss_of = OrthogonalCompatible(OLD + EXTRA, prototypes)
    nested = MatryoshkaLoss(mean_cosine_gap, NESTING)
    last = Last(tower).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    parameters = [*last.parameters(), *loss_of.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.02)
    average = {name: value.clone() for name, value in last.state_dict().items()}
    began, step, sums = time.process_time(), 0, 0.0
    while (share := (time.process_time() - began) / (60 * minutes * threads)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARM) * 0.5 * (1 + math.cos(math.pi * share))
        x, old, extra, labels = data.batch(step)
        raw = last(x)  # (b, 384)
        first = F.normalize(raw[:, :OLD], dim=1)
        target = F.normalize(torch.cat([old, 0.7 * extra], dim=1), dim=1)
        terms = {
            "oca": loss_of(raw, labels),
            "old": nested(raw[:, :OLD], old) / len(NESTING),
            "contrast": info_nce(first, old, temperature=TEMPERATURE),
            "whole": mean_cosine_gap(F.normalize(raw, dim=1), target),
        }
        loss = torch.stack([WEIGHTS_OF[name] * term for name, term in terms.items()]).sum()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 2.0)
        optimiser.step()
        keep = min(0.99, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in last.state_dict().items():
                average[name].lerp_(value, 1 - keep)
        step, sums = step + 1, sums + float(loss.detach())
        if step % 100 == 0:
            told = ", ".join(f"{name} {float(term.detach()):.3f}" for name, term in terms.items())
            print(f"step {step}, {share:.0%}: loss {sums / 100:.3f} ({told})", flush=True)
            sums = 0.0
    last.load_state_dict(average)
    tower.eval()
    return {"steps": step, "samples": step * BATCH, "core_minutes": minutes * threads}
