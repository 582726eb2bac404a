"""Train the image tower to put photographs, views of them and altered copies where the teacher's targets are."""

from __future__ import annotations

import json
import math
import os
import time
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from retrieval.encoders.families.nano_torch import CROPS, SIZE, ImageTower, cut
from retrieval.encoders.training.losses import MatryoshkaLoss, mean_cosine_gap, similarity_distillation
from tools.train_nano.inputs.augment import augment, light, mirrored, normalised
from tools.train_nano.targets.asked import middle, scores_off
from tools.train_nano.targets.places import PlaceHeads, Pupil
from tools.train_nano.tower.check import check_copies, check_neighbours
from tools.train_nano.tower.convolve import widen
from tools.train_nano.tower.muon import Muon
from tools.train_nano.tower.parallel import Replicas, move_average
from tools.train_nano.tower.start import start_from

NESTING = (16, 32, 64, 128, 256)
NEAR_TEMPERATURE = 0.07
SAID_TEMPERATURE = 0.05  # cosines of sentences with photographs differ less than those of photographs


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides a run but the data.

    ``minutes`` is the time the whole schedule takes, over all sittings: of the processor on a CPU, so that a process that is stopped for
    a while, or shares the machine, loses nothing. The rate stays at its highest until ``falls``, a share of the schedule, and then
    falls by a cosine (a schedule whose end is not known yet never lets it fall; Hägele et al., 2024, arXiv 2405.18392, find that
    as good). ``sizes`` are (share of the schedule, input
    side): small pictures first, since samples seen are what counts. On a CPU each batch is cut into parts of ``part``
    pictures that ``workers`` threads of one core each take as they become free: a busy machine then slows training by
    the share it takes, not by the slower of two halves. On a GPU there is one part and one worker.

    A batch is photographs as they are, ``views`` (crops and mixtures with the teacher's answer to them) and ``hard`` ones
    (photographs of the same batch altered as copies are, with the unaltered one's target). The two shares grow from nothing
    between the two points ``ramp`` of the schedule: a tower that is shown whole photographs first learns several times
    faster (60,000 samples of them gave the 1-NN accuracy of 500,000 that began with views).

    ``contrast`` weighs what makes copies found: each must be told as the one made of its photograph from ``bank`` others, by
    the tower's own latest vectors of them (the queue of He et al., 2020, "Momentum contrast"): a collection stores those,
    not the targets. ``old`` weighs the same where an earlier encoder's vectors are the gallery. ``places`` weighs what the teacher saw in each place of a view, ``asked`` how far off texts' scores are.
    ``near`` weighs that each lies among the targets of other photographs as its own target does (Fang et al., 2021, "SEED").
    ``said`` weighs that sentences find their photographs, ``alike`` that photographs of one label find each other among those of their collection. ``harder`` copies are altered more
    (`augment`); a share ``middle`` of the parts sees what the look at the middle sees, at its size.
    The head has ``hidden`` units between the tower and the vector beside its linear map, or none.
    The stem and the first ``frozen`` stages of a tower that was trained before may stay as they are: forward and backward
    then take 0.6 of the time on a core without units for half precision.
    """

    minutes: float = 75.0
    batch: int = 256
    workers: int = 2
    part: int = 64
    rate: float = 3e-3
    decay: float = 0.05
    warm_steps: int = 100
    views: float = 0.3
    hard: float = 0.35
    contrast: float = 0.08
    old: float = 0.0
    places: float = 0.5
    asked: float = 1.0
    frozen: int = 0
    alike: float = 0.0
    near: float = 0.0
    said: float = 0.0
    harder: bool = False
    middle: float = 0.0
    bank: int = 2048
    temperature: float = 0.1
    ramp: tuple[float, float] = (0.1, 0.5)
    falls: float = 0.0
    ema: float = 0.998
    sizes: tuple[tuple[float, int], ...] = ((0.35, 96), (1.0, 112))
    bfloat16: bool = False
    hidden: int = 0
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Sentences of photographs: those of photograph ``i`` are the unit ``rows`` ``(s, d)`` from ``starts[i]`` to ``starts[i + 1]``."""

    starts: NDArray[np.int64]
    rows: NDArray[np.float32]

    @classmethod
    def of(cls, photographs: int, about: NDArray[np.int64], rows: NDArray[np.float32]) -> Said:
        """Join the ``rows`` of sentences about the photographs ``about`` ``(s,)``, which rise."""
        return cls(starts=np.searchsorted(about, np.arange(photographs + 1)), rows=rows)

    def draw(
        self, photographs: NDArray[np.int64], seed: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Give which of some photographs have sentences, and one of each of these at random."""
        low, high = self.starts[photographs], self.starts[photographs + 1]
        own = np.flatnonzero(high > low)
        return own, self.rows[np.random.default_rng(seed).integers(low[own], high[own])]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """The arrays that training reads.

    ``pixels`` ``(n, s, s, 3)`` uint8; ``targets`` ``(n, d)`` float32; ``views`` and ``view_targets`` the same for altered
    training photographs that the teacher saw altered, which may be none, and ``view_places`` ``(v, 128, 7, 7)`` float16 what it saw in each place
    of them; ``asked`` ``(d, d)`` the axes of `asked_axes`; ``label_codes`` ``(n,)`` int64, -1 for no label, and
    ``groups`` ``(n,)`` int64 its collection, None where nothing asks for it;
    ``train`` and ``check`` are row numbers; ``weights`` says how often a training row is drawn. ``old`` ``(n, e)`` are an earlier
    encoder's vectors, ``back`` ``(d, e)`` the fixed map by which the targets hold them; None without one.
    """

    pixels: NDArray[np.uint8]
    targets: NDArray[np.float32]
    views: NDArray[np.uint8]
    view_targets: NDArray[np.float32]
    view_places: NDArray[np.float16]
    asked: NDArray[np.float32]
    label_codes: NDArray[np.int64]
    train: NDArray[np.int64]
    weights: NDArray[np.float64]
    check: dict[str, NDArray[np.int64]]
    old: NDArray[np.float32] | None = None
    back: NDArray[np.float32] | None = None
    groups: NDArray[np.int64] | None = None
    said: Said | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one part of a batch gave: the vectors ``(b, d)`` of its whole photographs ``rows``, and its losses."""

    rows: torch.Tensor
    vectors: torch.Tensor
    match: float
    contrast: float
    old: float
    alike: float
    near: float
    said: float
    places: float
    asked: float


class Run:
    """One training run in a folder: its log, its checkpoint, and the state to go on from."""

    def __init__(
        self, folder: Path, data: TrainingSet, recipe: Recipe, *, init: dict[str, torch.Tensor] | None
    ) -> None:
        self.folder, self.data, self.recipe = folder, data, recipe
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(recipe.seed)
        width = data.targets.shape[1]
        tower = ImageTower(dim=width, hidden=recipe.hidden, norm=True)
        if init is not None:
            probe = augment(data.pixels[data.train[:256]], 96, seed=0, device=torch.device("cpu"))
            start_from(tower, init, normalised(probe))
        tower.to(self.device)
        tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
        self.average = deepcopy(tower)
        self.student = Pupil(tower, PlaceHeads().to(self.device), frozen=recipe.frozen)
        on_cpu = self.device.type == "cpu"
        self.parts = max(1, recipe.batch // recipe.part) if on_cpu else 1
        # CPUs without units for it are slower in half precision than in single.
        self.bfloat16 = recipe.bfloat16 or not on_cpu
        if on_cpu and self.bfloat16:
            widen(self.student.tower)
        self.optimisers = make_optimisers(
            self.student, rate=recipe.rate, decay=recipe.decay, bfloat16=self.bfloat16
        )
        self.step, self.samples, self.seconds = 0, 0, 0.0
        self.targets = torch.from_numpy(data.targets).to(self.device)
        self.asked = torch.from_numpy(data.asked).to(self.device)
        self.middle = torch.from_numpy(middle(data.targets[data.train], data.weights)).to(self.device)
        nesting = nesting_of(width)
        self.match = MatryoshkaLoss(mean_cosine_gap, nesting)
        self.contrast = MatryoshkaLoss(own_first, nesting)
        self.alike = MatryoshkaLoss(alike_first, nesting)
        self.near = MatryoshkaLoss(similarity_distillation, nesting)
        self.recent = torch.zeros(recipe.bank, width, device=self.device)
        self.labels, self.groups = (
            None if part is None else torch.from_numpy(part).to(self.device)
            for part in (data.label_codes, data.groups)
        )
        self.old = self.back = None
        if data.old is not None and data.back is not None:
            self.old, self.back = (
                torch.from_numpy(part).to(self.device, torch.float32) for part in (data.old, data.back)
            )
        self.recent_rows = torch.full((recipe.bank,), -1, device=self.device)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "checkpoint.pt").exists():
            self._resume()
        self.replicas = Replicas(self.student, recipe.workers if on_cpu else 1)

    def train(self, *, checkpoint_seconds: float = 300.0, checked: int = 3) -> None:
        """Train until the schedule's end, with a checkpoint every few minutes and a check with each so many of them."""
        last_saved, last = time.monotonic(), self._clock()
        sums: dict[str, float] = {}
        saved = 0
        while self.progress < 1:
            for name, value in self._one_step().items():
                sums[name] = sums.get(name, 0.0) + value / 50
            now = self._clock()
            self.seconds, last = self.seconds + now - last, now
            if self.step % 50 == 0:
                self.log("step", **sums)
                sums = {}
            if time.monotonic() - last_saved > checkpoint_seconds:
                self.save()
                saved += 1
                if saved % checked == 0:
                    self.log("check", **self.check())
                last_saved, last = time.monotonic(), self._clock()
        self.save()
        self.log("end", **self.check())

    def _clock(self) -> float:
        """Seconds of the time that the schedule counts."""
        return time.monotonic() if self.device.type == "cuda" else time.process_time() / self.recipe.workers

    @property
    def aim(self) -> torch.Tensor:
        """Some photographs' targets, ``(64, d)``: by them a second schedule knows whether it goes on to the same place."""
        return self.targets[torch.from_numpy(self.data.train[:64])].cpu()

    @property
    def progress(self) -> float:
        """Share of the schedule done, by training time: contention for the machine must not cut the end off."""
        return self.seconds / (60 * self.recipe.minutes)

    def _one_step(self) -> dict[str, float]:
        recipe, data = self.recipe, self.data
        numbers = np.random.default_rng((recipe.seed, self.step))
        rows = numbers.choice(data.train, recipe.batch, replace=False, p=data.weights)
        views = numbers.integers(max(1, len(data.views)), size=recipe.batch)
        seeds = numbers.integers(2**31, size=self.parts).tolist()
        side = next(side for share, side in recipe.sizes if self.progress < share or share >= 1)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate * min(1.0, (self.step + 1) / recipe.warm_steps) * self._cosine()

        pieces = np.array_split(rows, self.parts), np.array_split(views, self.parts)
        found = self.replicas.backward(partial(self._backward, side=side), *pieces, seeds)
        nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.replicas.step(self.optimisers)
        move_average(
            self.average, self.student.tower, keep=min(recipe.ema, (1 + self.step) / (10 + self.step))
        )
        self.step, self.samples = self.step + 1, self.samples + recipe.batch
        self._remember(found)
        return {
            "match": sum(seen.match for seen in found) / self.parts,
            "contrast": sum(seen.contrast for seen in found) / self.parts,
            "old": sum(seen.old for seen in found) / self.parts,
            "alike": sum(seen.alike for seen in found) / self.parts,
            "near": sum(seen.near for seen in found) / self.parts,
            "said": sum(seen.said for seen in found) / self.parts,
            "places": sum(seen.places for seen in found) / self.parts,
            "asked": sum(seen.asked for seen in found) / self.parts,
        }

    def _backward(
        self, replica: Pupil, rows: NDArray[np.int64], views: NDArray[np.int64], seed: int, *, side: int
    ) -> Seen:
        """Add one part's share of the gradient to the replica's: photographs as they are, copies of them, and views."""
        recipe, data, device = self.recipe, self.data, self.device
        begin, end = recipe.ramp
        grown = min(1.0, max(0.0, (self.progress - begin) / (end - begin)))
        hard = round(recipe.hard * grown * len(rows))
        seen = round(recipe.views * grown * len(rows)) if len(data.views) else 0
        rows, views = rows[: len(rows) - seen - hard], views[:seen]
        copied = rows[:hard]
        look = CROPS[1] if np.random.default_rng(seed).random() < recipe.middle else None
        side = side if look is None else SIZE
        made = [light(data.pixels[rows], side, seed=seed, device=device)]
        if hard:
            made.append(augment(data.pixels[copied], side, seed=seed, device=device, harder=recipe.harder))
        if seen:
            made.append(light(data.views[views], side, seed=seed + 1, device=device))
        target = torch.cat(
            [
                self.targets[torch.from_numpy(np.concatenate([rows, copied])).to(device)],
                torch.from_numpy(data.view_targets[views]).to(device),
            ]
        )  # (b, d)
        x = torch.cat(made) if look is None else cut(torch.cat(made), look)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16):
            maps = replica.tower.maps(normalised(x).contiguous(memory_format=torch.channels_last))
            z = replica.tower.read(maps)  # (b, d)
            places = z.new_zeros(())
            if seen:
                local = torch.from_numpy(data.view_places[views]).to(device).float()
                places = replica.places([stage[-seen:] for stage in maps], mirrored(local))
        z = z.float()
        match = self.match(z, target)
        asked = scores_off(z, target, self.asked, self.middle)
        own, names = z[: len(rows)].detach(), torch.from_numpy(rows).to(device)
        contrast = z.new_zeros(())
        if len(copied):
            everyone = torch.cat([names, self.recent_rows])
            # An older vector of the same photograph is no other photograph.
            skip = everyone == names[: len(copied), None]  # (copied, rows + bank)
            skip.fill_diagonal_(fill_value=False)
            contrast = self.contrast(
                z[len(rows) : len(rows) + len(copied)],
                torch.cat([own, self.recent]),
                temperature=recipe.temperature,
                skip=skip,
            )
        old = z.new_zeros(())
        if recipe.old and self.old is not None and self.back is not None:
            known = torch.from_numpy(np.concatenate([rows, copied])).to(device)
            everyone = torch.cat([known, self.recent_rows.clamp(min=0)])
            skip = everyone == known[:, None]
            skip.fill_diagonal_(fill_value=False)
            skip[:, len(known) :] |= self.recent_rows < 0
            asking = F.normalize(z[: len(known)] @ self.back, dim=1)
            old = own_first(asking, self.old[everyone], temperature=recipe.temperature, skip=skip)
        alike = z.new_zeros(())
        if recipe.alike and self.labels is not None and self.groups is not None:
            known = torch.from_numpy(np.concatenate([rows, copied])).to(device)
            everyone = torch.cat([names, self.recent_rows.clamp(min=0)])
            other = everyone != known[:, None]
            other[:, len(names) :] &= self.recent_rows >= 0
            of_one = self.labels[everyone] == self.labels[known][:, None]
            near = (self.groups[everyone] == self.groups[known][:, None]) & (self.labels[everyone] >= 0)
            alike = self.alike(
                z[: len(known)],
                torch.cat([own, self.recent]),
                marked=other & near & of_one,
                among=other & near,
                temperature=recipe.temperature,
            )
        near = z.new_zeros(())
        if recipe.near:
            among = self.targets[torch.cat([names, self.recent_rows[self.recent_rows >= 0]])]  # (k, d)
            aimed = F.normalize(target, dim=1) @ F.normalize(among, dim=1).T / NEAR_TEMPERATURE
            near = self.near(z, among, aimed.softmax(1), temperature=NEAR_TEMPERATURE)
        said = z.new_zeros(())
        if recipe.said and data.said is not None:
            told, sentences = data.said.draw(rows, seed)
            if len(told):
                others = torch.ones(len(rows), dtype=torch.bool)
                others[torch.from_numpy(told)] = False
                order = torch.cat([torch.from_numpy(told), torch.nonzero(others)[:, 0]])
                everyone = torch.cat([names[order], self.recent_rows])
                skip = everyone == names[order][: len(told), None]
                skip.fill_diagonal_(fill_value=False)
                skip[:, len(rows) :] |= self.recent_rows < 0
                said = self.contrast(
                    torch.from_numpy(sentences).to(device),
                    torch.cat([z[: len(rows)][order], self.recent]),
                    temperature=SAID_TEMPERATURE,
                    skip=skip,
                )
        loss = (
            match
            + recipe.contrast * contrast
            + recipe.old * old
            + recipe.alike * alike
            + recipe.near * near
            + recipe.said * said
            + recipe.places * places
            + recipe.asked * asked
        )
        (loss / self.parts).backward()
        return Seen(
            rows=names, vectors=own,
            match=float(match.detach()), contrast=float(contrast.detach()), old=float(old.detach()),
            alike=float(alike.detach()), near=float(near.detach()), said=float(said.detach()), places=float(places.detach()), asked=float(asked.detach()),
        )  # fmt: skip

    def _remember(self, found: list[Seen]) -> None:
        """Put the newest vectors of whole photographs before the older ones."""
        bank = self.recipe.bank
        self.recent = torch.cat([*(seen.vectors for seen in found), self.recent])[:bank]
        self.recent_rows = torch.cat([*(seen.rows for seen in found), self.recent_rows])[:bank]

    def _cosine(self) -> float:
        falls = self.recipe.falls
        fallen = max(0.0, min(1.0, (self.progress - falls) / max(1e-9, 1 - falls)))
        return 0.5 * (1 + math.cos(math.pi * fallen)) + 1e-3

    def check(self) -> dict[str, float]:
        """Measure the averaged tower on rows never trained on."""
        data = self.data
        found = check_neighbours(
            self.average, data.pixels, data.targets, data.label_codes, data.check, device=self.device
        )
        held = np.unique(np.concatenate(list(data.check.values())))
        return found | check_copies(self.average, data.pixels[held], device=self.device)

    def log(self, event: str, **facts: Any) -> None:
        """Append one JSON line to ``log.jsonl``."""
        line = {
            "event": event,
            "step": self.step,
            "samples": self.samples,
            "seconds": round(self.seconds, 1),
        } | facts
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Write the checkpoint; a kill at any moment leaves the old one or the new one."""
        state = {
            "student": self.student.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step, "samples": self.samples, "seconds": self.seconds, "recipe": asdict(self.recipe),
            "aim": self.aim,
        }  # fmt: skip
        partial = self.folder / "checkpoint.partial"
        torch.save(state, partial)
        os.replace(partial, self.folder / "checkpoint.pt")

    def _resume(self) -> None:
        state = torch.load(self.folder / "checkpoint.pt", map_location=self.device, weights_only=True)
        self.student.load_state_dict(state["student"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.samples, self.seconds = state["step"], state["samples"], state["seconds"]


def nesting_of(width: int) -> tuple[int, ...]:
    """Return the prefixes that are trained of vectors so wide, themselves among them."""
    return (*(m for m in NESTING if m < width), width)


def make_optimisers(
    module: nn.Module, *, rate: float, decay: float, bfloat16: bool
) -> list[torch.optim.Optimizer]:
    """Muon for the kernels, AdamW for the head, the norms and the biases; in parts that cost about the same.

    Each part steps on one core: on a busy machine two cores that wait for each other within a product lose most of it.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    kernels = sorted((p for p in trained if p.ndim == 4), key=torch.numel, reverse=True)
    groups = [
        {"params": [p for p in trained if p.ndim == 2], "weight_decay": decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    # The largest kernel costs as much as all others together.
    return [
        *(Muon(part, lr=rate, weight_decay=decay, dtype=dtype) for part in (kernels[:1], kernels[1:])),
        torch.optim.AdamW(groups, lr=rate, fused=True),
    ]


def own_first(
    x: torch.Tensor, bank: torch.Tensor, *, temperature: float, skip: torch.Tensor | None = None
) -> torch.Tensor:
    """Tell each row's own target (the same row of the bank) from all others in it (van den Oord et al., 2018).

    ``skip``, ``(x, bank)`` bool, marks those that are not to be told apart.
    """
    logits = x @ bank.T / temperature
    if skip is not None:
        logits = logits.masked_fill(skip, -torch.inf)
    return F.cross_entropy(logits, torch.arange(len(x), device=x.device))


def alike_first(
    x: torch.Tensor, bank: torch.Tensor, *, marked: torch.Tensor, among: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Tell the ``marked`` rows of a bank from the others ``among`` them (neighbourhood components: Goldberger et al., 2004).

    Both are ``(x, bank)`` bool; a row without any marked one does not count.
    """
    logits = x @ bank.T / temperature
    counted = marked.any(1)
    if not counted.any():
        return logits.sum() * 0
    own = logits.masked_fill(~marked, -torch.inf)[counted].logsumexp(1)
    return (logits.masked_fill(~among, -torch.inf)[counted].logsumexp(1) - own).mean()
