"""Make nano@2 from nano@1 by backward-compatible training (OCA), measure it, and ship it if it earns that.

    python -m tools.train_oca --data $RETRIEVAL_DATA --work FOLDER [--minutes 8] [--threads 2]

``FOLDER`` holds the arrays of `tools.train_nano` (pixels, views, the teacher's features of both; made if they are missing).

The new image tower starts from the old one's folded weights. Its head grows from 256 to 384 outputs, and of the last stage's 512
channels the 432 that carry most are kept, so that the weights of both versions stay within the package's 26 MB. The stem and the
first three stages stay as they are, so their output is computed once for each photograph and each crop, and a training sample
costs a quarter. The last stage and the head are trained on:

- `retrieval.compatible.OrthogonalCompatible` over pseudo-classes: clusters of the teacher's features, since most photographs
  have no label; the old prototypes are the means of nano@1's vectors;
- the cosine with nano@1's vector of the whole photograph, at every prefix width, also for crops of it, and a contrastive term that
  tells it from those of other photographs: that is how a new query meets an old gallery;
- the cosine of all 384 components with a target made of that vector and of what the teacher knows beyond it (128 principal
  components of the residual of a ridge regression).

Then, on photographs that neither version was trained on: recall@1 of crops and 1-NN accuracy for old/old, new/old and new/new. It
is shipped (``weights/nano-2``) only if new/old beats old/old in both; ``benchmarks/results/nano2.json`` keeps the numbers anyhow.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.nn import functional as F

from benchmarks.frame import save, watch
from indexes.alignment import Probe
from retrieval.compatible import OrthogonalCompatible, class_prototypes
from retrieval.encoders.nano import WEIGHTS, NanoEncoder, open_nano
from retrieval.encoders.nano_text import map_tensors
from retrieval.encoders.nano_torch import ImageTower
from retrieval.training import MatryoshkaLoss, info_nce, mean_cosine_gap
from tools.train_nano.data import decode_all, list_photos
from tools.train_nano.export import FACTS, export_image
from tools.train_nano.teachers import mobilenet_features
from tools.train_nano.train import NESTING, normalised
from tools.train_nano.views import MIXED_SHARE, crop, view_features, view_sources
from tools.train_nano.views import SEED as VIEW_SEED

OLD, EXTRA = 256, 128
KEPT = 432
CLASSES = 400
SIDE, BATCH = 112, 128
RATE, TEMPERATURE = 6e-4, 0.07
WEIGHTS_OF = {"oca": 0.05, "old": 1.0, "contrast": 0.3, "whole": 1.0}
QUERIES = 1500


def narrowed(state: dict[str, torch.Tensor], x: torch.Tensor) -> ImageTower:
    """Return the old tower with the channels of its last stage that carry most, and a head of `OLD` + `EXTRA` outputs.

    Args:
        state: its folded weights.
        x: ``(n, 3, s, s)`` preprocessed photographs, to see which channels carry something.
    """
    widths = [state[f"stages.{i}.second.conv.bias"].shape[0] for i in range(4)]
    old = ImageTower(widths, dim=OLD)
    old.load_state_dict(state)
    old.eval()
    last: Any = old.stages[3]
    with torch.inference_mode():
        y = F.relu(old.stem(x))
        for stage in list(old.stages)[:3]:
            y = stage(y)
        middle = F.relu(last.first(y)).mean((2, 3))  # (n, 512)
        top = last(y).mean((2, 3))  # (n, 512)
    inner = (middle.square().mean(0).sqrt() * last.second.conv.weight.norm(dim=(0, 2, 3))).argsort(
        descending=True
    )
    outer = (top.std(0) * old.head.weight.norm(dim=0)).argsort(descending=True)
    inner, outer = inner[:KEPT].sort().values, outer[:KEPT].sort().values
    new = dict(state)
    for part, kept in (("first", inner), ("second", outer), ("shortcut", outer)):
        for kind in ("weight", "bias"):
            new[f"stages.3.{part}.conv.{kind}"] = state[f"stages.3.{part}.conv.{kind}"][kept]
    new["stages.3.second.conv.weight"] = new["stages.3.second.conv.weight"][:, inner]
    head = state["head.weight"][:, outer]
    fresh = torch.randn(EXTRA, KEPT, generator=torch.Generator().manual_seed(2)) * head.std()
    new["head.weight"] = torch.cat([head, fresh])
    new["head.bias"] = torch.cat([state["head.bias"], torch.zeros(EXTRA)])
    tower = ImageTower([*widths[:3], KEPT], dim=OLD + EXTRA)
    tower.load_state_dict(new)
    return tower


class Last(nn.Module):
    """What is trained of a tower: its last stage and its head, on what the stages before give."""

    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        self.stage, self.head = tower.stages[3], tower.head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return raw vectors ``(b, 384)`` of ``(b, 256, 7, 7)``."""
        out: torch.Tensor = self.head(self.stage(x).mean((2, 3)))
        return out


def trunk(
    tower: ImageTower, pixels: NDArray[np.uint8], rows: NDArray[np.int64], file: Path
) -> NDArray[np.float16]:
    """Return what the stem and the first three stages give for ``pixels[rows]``: ``(n, 256, 7, 7)`` float16, kept in ``file``."""
    out = np.lib.format.open_memmap(
        file, mode="w+", dtype=np.float16, shape=(len(rows), 256, SIDE // 16, SIDE // 16)
    )
    with torch.inference_mode():
        for start in range(0, len(rows), 128):
            x = torch.from_numpy(pixels[rows[start : start + 128]]).permute(0, 3, 1, 2).float() / 255
            if x.shape[-1] != SIDE:
                x = F.interpolate(x, size=(SIDE, SIDE), mode="bicubic", antialias=True).clamp(0, 1)
            y = F.relu(tower.stem(normalised(x).contiguous(memory_format=torch.channels_last)))
            for stage in list(tower.stages)[:3]:
                y = stage(y)
            out[start : start + len(x)] = y.numpy().astype(np.float16)
    return out


def encode(encoder: NanoEncoder, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Encode stored pixels ``(n, s, s, 3)`` as the package would: ``(n, d)`` unit rows."""
    parts = [
        encoder.encode_pixels(
            np.stack([encoder.preprocess(Image.fromarray(image)) for image in pixels[start : start + 64]])
        )
        for start in range(0, len(pixels), 64)
    ]
    return np.concatenate(parts)


def beyond(old: NDArray[np.float32], teacher: NDArray[np.float32], train: NDArray[np.int64]) -> Any:
    """Fit what the teacher knows beyond the old vectors; return a function of both: ``(n, EXTRA)`` unit rows."""
    x, y = old[train].astype(np.float64), teacher[train].astype(np.float64)
    mean_x, mean_y = x.mean(0), y.mean(0)
    gram = (x - mean_x).T @ (x - mean_x)
    matrix = np.linalg.solve(
        gram + 1e-2 * np.trace(gram) / len(gram) * np.eye(len(gram)), (x - mean_x).T @ (y - mean_y)
    )
    rest = y - mean_y - (x - mean_x) @ matrix
    _, axes = np.linalg.eigh(rest.T @ rest)
    axes = axes[:, ::-1][:, :EXTRA]

    def place(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        found = (b - mean_y - (a - mean_x) @ matrix) @ axes
        found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
        return np.asarray(found, dtype=np.float32)

    return place


def clusters(rows: NDArray[np.float32], *, count: int, rounds: int = 12) -> NDArray[np.int64]:
    """Group unit rows around ``count`` directions (spherical k-means): ``(n,)``; no group is empty."""
    draws = np.random.default_rng(3)
    centres = rows[draws.choice(len(rows), count, replace=False)]
    own = np.zeros(len(rows), dtype=np.int64)
    for _ in range(rounds):
        own = (rows @ centres.T).argmax(1)
        for group in np.flatnonzero(np.bincount(own, minlength=count) == 0):
            own[draws.integers(len(rows))] = group
        sums = np.zeros_like(centres)
        np.add.at(sums, own, rows)
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return own


def unit(rows: Any) -> NDArray[np.float32]:
    """Return float32 unit rows."""
    rows = np.asarray(rows, dtype=np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


class Data:
    """What is trained on: photographs, crops of them, and the targets of both."""

    def __init__(self, data: Path, work: Path, old: NanoEncoder, *, crops: int) -> None:
        self.work = work
        self.photos = list_photos(data)
        self.pixels = decode_all(data, self.photos, work / "pixels.npy")
        features = unit(mobilenet_features(data, self.photos, work / "mobilenet.npy"))
        self.train = np.flatnonzero([photo.split == "train" for photo in self.photos])
        sources = view_sources(self.photos)
        self.views, view_rows = view_features(data, self.pixels, sources, work)
        # Mixed views have no photograph of their own.
        self.whole = np.array(
            [v for v in range(len(sources)) if np.random.default_rng((VIEW_SEED, v)).random() >= MIXED_SHARE]
        )[:crops]
        began = time.monotonic()
        self.old = encode(old, self.pixels[self.train])  # (n, 256)
        print(f"nano@1 of {len(self.train):,} photographs: {time.monotonic() - began:.0f} s", flush=True)
        place = beyond(self.old, features[self.train], np.arange(len(self.train)))
        self.extra = place(self.old, features[self.train])  # (n, EXTRA)
        self.owner = np.searchsorted(self.train, sources[self.whole])
        self.view_extra = np.concatenate(
            [
                place(
                    self.old[self.owner[start : start + 4096]],
                    unit(view_rows[self.whole[start : start + 4096]]),
                )
                for start in range(0, len(self.whole), 4096)
            ]
        )
        self.group = clusters(features[self.train], count=CLASSES)

    def look(self, tower: ImageTower) -> None:
        """Compute what the stages that stay give, once."""
        began = time.monotonic()
        self.seen = trunk(tower, self.pixels, self.train, self.work / "trunk.npy")
        self.view_seen = trunk(tower, self.views, self.whole, self.work / "trunk_views.npy")
        total = len(self.seen) + len(self.view_seen)
        print(f"the stages that stay, of {total:,} pictures: {time.monotonic() - began:.0f} s", flush=True)

    def sample(self, count: int) -> torch.Tensor:
        """Return some preprocessed photographs ``(count, 3, s, s)``."""
        x = torch.from_numpy(self.pixels[self.train[:: len(self.train) // count][:count]])
        x = F.interpolate(
            x.permute(0, 3, 1, 2).float() / 255, size=(SIDE, SIDE), mode="bicubic", antialias=True
        )
        return normalised(x.clamp(0, 1)).contiguous(memory_format=torch.channels_last)

    def batch(self, step: int) -> tuple[torch.Tensor, ...]:
        """Return inputs of `Last`, old vectors, extra targets and groups of a batch: a third photographs, the rest crops."""
        draws = np.random.default_rng((9, step))
        rows = np.sort(draws.choice(len(self.train), BATCH // 3, replace=False))
        views = np.sort(draws.choice(len(self.whole), BATCH - BATCH // 3, replace=False))
        x = np.concatenate([self.seen[rows], self.view_seen[views]]).astype(np.float32)
        both = np.concatenate([rows, self.owner[views]])
        extra = np.concatenate([self.extra[rows], self.view_extra[views]])
        return (
            torch.from_numpy(x).contiguous(memory_format=torch.channels_last),
            torch.from_numpy(self.old[both]),
            torch.from_numpy(extra),
            torch.from_numpy(self.group[both]),
        )


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
            group["lr"] = RATE * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * share))
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


def measure(data: Data, old: NanoEncoder, new: NanoEncoder) -> dict[str, Any]:
    """Measure both on photographs that neither was trained on, with crops of some as queries, and by labels."""
    rows = np.flatnonzero([photo.split != "train" for photo in data.photos])
    pixels = data.pixels[rows]
    asked = np.sort(np.random.default_rng(4).choice(len(rows), QUERIES, replace=False))
    crops = np.stack(
        [np.asarray(crop(pixels[place], 0.2, np.random.default_rng((5, int(place))))) for place in asked]
    )
    gallery = [encode(encoder, pixels) for encoder in (old, new)]
    queries = [encode(encoder, crops) for encoder in (old, new)]
    views = Probe(
        gallery_old=gallery[0], gallery_new=gallery[1], old=queries[0], new=queries[1], target=asked
    )
    named = np.flatnonzero([bool(data.photos[row].label) for row in rows])
    labels = np.unique(
        [f"{data.photos[row].group}/{data.photos[row].label}" for row in rows[named]], return_inverse=True
    )[1]
    near = Probe(
        gallery_old=gallery[0][named],
        gallery_new=gallery[1][named],
        old=gallery[0][named],
        new=gallery[1][named],
        target=np.arange(len(named)),
        labels=labels.astype(np.int64),
    )
    found: dict[str, Any] = {"gallery": len(rows), "crops": QUERIES, "labelled": len(named)}
    for name, probe in (("crop_recall_at_1", views), ("knn_accuracy", near)):
        first = unit(probe.new[:, :OLD])
        found[name] = {
            "old_old": float(probe.right(probe.old, probe.gallery_old).mean()),
            "new_old": float(probe.right(first, probe.gallery_old).mean()),
            "new_new": float(probe.right(probe.new, probe.gallery_new).mean()),
        }
    return found


def card(found: dict[str, Any], run: dict[str, Any]) -> str:
    """Write the card of the weights."""
    lines = [
        "# nano@2",
        "",
        "The image tower of nano@1, trained on so that its first 256 of 384 components live in nano@1's space (OCA, arXiv",
        "2408.08793): a collection of nano@1 is searched by nano@2's queries at once, `retrieve upgrade --encoder nano@2` fits",
        "nothing. Words are nano@1's; they fill the first 256 components.",
        "",
        f"Trained on the same photographs as nano@1 ({run['samples']:,} samples in {run['core_minutes']:g} core-minutes) by",
        "`python -m tools.train_oca`; what is trained on what stands in that file's first lines. Licence as nano@1's.",
        "",
        f"Measured on {found['gallery']:,} photographs that neither was trained on (`benchmarks/results/nano2.json`):",
        "",
        "| query / gallery | crop found first, recall@1 | 1-NN accuracy |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name.replace('_', '/')} | {found['crop_recall_at_1'][name]:.3f} | {found['knn_accuracy'][name]:.3f} |"
        for name in ("old_old", "new_old", "new_new")
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Train, export, measure, ship or not."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.train_oca",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0, help="minutes of all threads' CPU time")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--crops", type=int, default=40_000, help="crops to train on; 25 KB of disk each")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    old = open_nano("1", threads=options.threads)
    data = Data(options.data, options.work, old, crops=options.crops)
    state = {
        name: torch.from_numpy(array.astype(np.float32))
        for name, array in map_tensors(WEIGHTS / "nano-1" / "image.safetensors").items()
    }
    tower = narrowed(state, data.sample(256)).eval()
    data.look(tower)
    with watch() as load:
        run = fit(data, tower, minutes=options.minutes, threads=options.threads)
    building = WEIGHTS / ".nano-2"
    shutil.rmtree(building, ignore_errors=True)
    facts = FACTS | {
        "name": "nano@2",
        "width": OLD + EXTRA,
        "nesting": [*NESTING, OLD + EXTRA],
        "extends": [old.space.to_json()],
        "text": "nano-1",
    }
    export_image(tower, building, note={"samples": str(run["samples"])}, facts=facts)
    found = measure(data, old, NanoEncoder(building, threads=options.threads))
    better = all(
        found[name]["new_old"] > found[name]["old_old"] for name in ("crop_recall_at_1", "knn_accuracy")
    )
    size = sum(path.stat().st_size for path in building.iterdir())
    save(
        "nano2",
        load=load,
        parameters=run | {"kept_channels": KEPT, "classes": CLASSES},
        bytes=size,
        shipped=better,
        **found,
    )
    print(json.dumps(found, indent=1))
    if not better:
        shutil.rmtree(building)
        print("new/old does not beat old/old in both measures: nano@2 is not shipped")
        return 1
    (building / "card.md").write_text(card(found, run), encoding="utf-8")
    shutil.rmtree(WEIGHTS / "nano-2", ignore_errors=True)
    building.rename(WEIGHTS / "nano-2")
    print(f"shipped: nano@2, {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
