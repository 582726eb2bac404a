"""Train the whole new tower against old vectors, old prototypes and the teacher."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from retrieval.encoders.families.nano_torch import ImageTower, widths_of
from retrieval.encoders.training.compatible_training import OrthogonalCompatible, class_prototypes
from retrieval.encoders.training.losses import MatryoshkaLoss, mean_cosine_gap
from tools.train_nano.augment import normalised
from tools.train_nano.parallel import Replicas, move_average
from tools.train_nano.start import start_from
from tools.train_nano.train import NESTING, make_optimisers, own_first
from tools.train_oca.data import Batch, Data
from tools.train_oca.tower import EXTRA, OLD

RATE, DECAY, TEMPERATURE, WARM, KEEP = 1.5e-3, 0.05, 0.1, 100, 0.995
PARTS = 4
WEIGHTS_OF = {"oca": 0.02, "old": 1.0, "contrast": 0.2, "whole": 1.0, "mixed": 0.3}


class Student(nn.Module):
    """The new tower and the loss of OCA, whose parameters are trained with it.

    Args:
        tower: what is trained.
        prototypes: ``(classes, OLD)`` means of old vectors.
        bfloat16: multiply so.
    """

    def __init__(self, tower: ImageTower, prototypes: torch.Tensor, *, bfloat16: bool) -> None:
        super().__init__()
        self.tower, self.in_bfloat16 = tower, bfloat16
        self.compatible = OrthogonalCompatible(OLD + EXTRA, prototypes)

    def terms(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Return each term of the loss, unweighted."""
        x = normalised(torch.cat([batch.images, batch.mixed])).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.in_bfloat16):
            every = self.tower.raw(x)
        raw, mixed = every.float().split([len(batch.images), len(batch.mixed)])  # (b, 384), (c, 384)
        bank = torch.cat([batch.old, batch.others])
        names = torch.cat([batch.owners, batch.other_owners])
        # Another vector of the same photograph is no other photograph.
        skip = names == batch.owners[:, None]  # (b, b + others)
        skip.fill_diagonal_(fill_value=False)
        first = F.normalize(raw[:, :OLD], dim=1)
        by_prefixes = MatryoshkaLoss(mean_cosine_gap, NESTING)
        return {
            "oca": self.compatible(raw, batch.groups),
            "old": by_prefixes(raw, batch.target) / len(NESTING),
            "mixed": by_prefixes(mixed, batch.mixed_target) / len(NESTING),
            "contrast": own_first(first, bank, temperature=TEMPERATURE, skip=skip),
            "whole": mean_cosine_gap(F.normalize(raw, dim=1), F.normalize(batch.target, dim=1)),
        }


def fit(
    data: Data,
    state: dict[str, torch.Tensor],
    *,
    minutes: float,
    threads: int,
    bfloat16: bool,
    kept: Callable[[ImageTower, int], None],
) -> tuple[ImageTower, dict[str, Any]]:
    """Train for so many minutes of ``threads`` cores from folded weights; return the averaged tower and the run's facts.

    The schedule follows this process's own CPU time, so that a busy machine makes it longer and not worse. After each tenth
    of it ``kept`` gets the averaged tower and how many samples it has seen.
    """
    widths = widths_of(state)
    tower = ImageTower(widths, dim=OLD + EXTRA, norm=True)
    start_from(tower, state, normalised(data.batch(0).images))
    prototypes = class_prototypes(
        torch.from_numpy(data.old), torch.from_numpy(data.group), classes=int(data.group.max()) + 1
    )
    student = Student(tower, prototypes, bfloat16=bfloat16).to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
    average = ImageTower(widths, dim=OLD + EXTRA, norm=True)
    average.load_state_dict(tower.state_dict())
    optimisers = make_optimisers(student, rate=RATE, decay=DECAY, bfloat16=bfloat16)
    replicas = Replicas(student, threads)
    began, step, samples, tenths, sums = time.process_time(), 0, 0, 0, Counter[str]()

    def part(replica: Student, number: int) -> tuple[int, dict[str, float]]:
        batch = data.batch(number)
        terms = replica.terms(batch)
        torch.stack([WEIGHTS_OF[name] * term / PARTS for name, term in terms.items()]).sum().backward()
        return len(batch.images) + len(batch.mixed), {
            name: float(term.detach()) for name, term in terms.items()
        }

    while (share := (time.process_time() - began) / (60 * minutes * threads)) < 1:
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = RATE * min(1.0, (step + 1) / WARM) * 0.5 * (1 + math.cos(math.pi * share))
        found = replicas.backward(part, range(step * PARTS, (step + 1) * PARTS))
        nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        replicas.step(optimisers)
        move_average(average, student.tower, keep=min(KEEP, (1 + step) / (10 + step)))
        step, samples = step + 1, samples + sum(count for count, _ in found)
        if int(10 * share) > tenths:
            tenths = int(10 * share)
            kept(average, samples)
        for _, terms in found:
            sums.update({name: term / (50 * PARTS) for name, term in terms.items()})
        if step % 50 == 0:
            told = ", ".join(f"{name} {term:.3f}" for name, term in sums.items())
            print(f"step {step}, {share:.0%}: {told}", flush=True)
            sums.clear()
    return average.eval(), {
        "steps": step,
        "samples": samples,
        "core_minutes": minutes * threads,
        "bfloat16": bfloat16,
    }
