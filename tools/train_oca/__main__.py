"""Make nano@2 from nano@1 by backward-compatible training (OCA), measure it, and ship it if it earns that.

    python -m tools.train_oca --data $RETRIEVAL_DATA --work FOLDER [--minutes 24] [--threads 2] [--bfloat16] [--photographs N]

``FOLDER`` holds the arrays of `tools.train_nano` (pixels, views, the teacher's features of both; made if they are missing).

The new image tower starts from the old one's folded weights. Its head grows from 256 to 384 outputs, and of the last stage's 512
channels the 424 that carry most are kept, so that the weights of both versions stay within the package's 26 MB. All of it is
trained, on photographs, altered copies, crops and mixtures of them, on:

- `retrieval.encoders.training.compatible_training.OrthogonalCompatible` over pseudo-classes: clusters of the teacher's features, since most photographs
  have no label; the old prototypes are the means of nano@1's vectors;
- the cosine, at every prefix width, with a target halfway between nano@1's vector of the whole photograph and what nano@1 was
  taught, and a contrastive term that tells nano@1's vector of the whole from those of other photographs: that is how a new query
  meets an old gallery;
- the cosine of all 384 components with that target and, beyond it, what the teacher knows that nano@1 does not (128 principal
  components of the residual of a ridge regression).

Then, on photographs that neither version was trained on: recall@1 of crops and 1-NN accuracy for old/old, new/old and new/new, and
recall@10 of captions. It is shipped (``weights/nano-2``, from then on what ``nano`` means) only if new/old beats old/old in the first
two and the files are small enough; ``benchmarks/results/nano-2_compatible.json`` keeps the numbers anyhow. ``--photographs N`` makes a trial of so
many: it is measured on as many others, and neither shipped nor kept. What is not shipped, or not yet trained to its end, lies in
``FOLDER/nano-2``, and ``--init`` goes on from it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.frame import save, watch
from indexes.vectors.space import Space
from retrieval.encoders.families.nano import WEIGHTS, NanoEncoder, open_nano
from retrieval.encoders.families.nano_torch import ImageTower, read_state
from tools.train_nano.export import FACTS, export_image
from tools.train_nano.report import MARKS
from tools.train_nano.train import NESTING
from tools.train_oca.data import CLASSES, Data
from tools.train_oca.fit import fit
from tools.train_oca.measure import measure
from tools.train_oca.tower import EXTRA, KEPT, OLD, narrowed

MOST_FILE, MOST_TOGETHER = 16e6, 26e6  # bytes: what a wheel is to hold


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
        "`python -m tools.train_oca`; what is trained on what stands in the first lines of its `__main__.py`. Licence as nano@1's.",
        "",
        f"Measured on {found['gallery']:,} photographs that neither was trained on (`benchmarks/results/nano-2_compatible.json`):",
        "",
        "| query / gallery | crop found first, recall@1 | 1-NN accuracy |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name.replace('_', '/')} | {found['crop_recall_at_1'][name]:.3f} | {found['knn_accuracy'][name]:.3f} |"
        for name in ("old_old", "new_old", "new_new")
    ]
    recall = found["caption_recall_at_10"]
    lines += [
        "",
        (
            f"Captions ({found['captions']}) that find their photograph among the ten best of all: {recall['old_old']:.3f} in vectors of "
            f"nano@1, {recall['new_new']:.3f} in vectors of nano@2."
        ),
        "",
        "Measured as nano@1 is, by `python -m tools.train_nano report --version 2`:",
        "",
        *MARKS,
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
    parser.add_argument("--minutes", type=float, default=24.0, help="minutes of all threads' CPU time")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="multiply in bfloat16: sooner on CPUs with AVX512-BF16 or AMX, slower on others",
    )
    parser.add_argument(
        "--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="Debian's wordnet-base"
    )
    parser.add_argument(
        "--init", type=Path, help="go on from WORK/nano-2 of a run that was not shipped, of this nano@1"
    )
    parser.add_argument("--photographs", type=int, help="a trial on so many; nothing is shipped")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    old = open_nano("1", threads=options.threads)
    data = Data(options.data, options.wordnet, options.work, old, most=options.photographs)
    start = (
        narrowed(read_state(WEIGHTS / "nano-1" / "image.safetensors"), data.sample(256)).state_dict()
        if options.init is None
        else read_state(options.init / "image.safetensors")
    )
    with watch() as load:
        tower, run = fit(
            data,
            start,
            minutes=options.minutes,
            threads=options.threads,
            bfloat16=options.bfloat16,
            kept=lambda tower, samples: export(
                tower, options.work / "nano-2", extends=old.space, samples=samples
            ),
        )
    building = WEIGHTS / ".nano-2"  # beside nano-1, whose words it shares
    shutil.rmtree(building, ignore_errors=True)
    export(tower, building, extends=old.space, samples=run["samples"])
    found = measure(data, old, NanoEncoder(building, threads=options.threads))
    (building / "card.md").write_text(card(found, run), encoding="utf-8")
    against = objections(found, building)
    size = sum(path.stat().st_size for path in building.iterdir())
    print(json.dumps(found, indent=1))
    if options.photographs is None:
        save(
            "nano-2_compatible",
            load=load,
            parameters=run | {"kept_channels": KEPT, "classes": CLASSES},
            bytes=size,
            shipped=not against,
            objections=against,
            **found,
        )
    print("\n".join(against) or f"nano@2 may be shipped, {size / 1e6:.1f} MB")
    if options.photographs is None:
        # One that was shipped before may extend an earlier nano@1, and is then of no use.
        shutil.rmtree(WEIGHTS / "nano-2", ignore_errors=True)
    shipped = options.photographs is None and not against
    place = WEIGHTS / "nano-2" if shipped else options.work / "nano-2"
    shutil.rmtree(place, ignore_errors=True)
    shutil.move(building, place)
    print(f"{'shipped' if shipped else 'not shipped; go on from it with --init'}: {place}")
    return int(options.photographs is None and bool(against))


def export(tower: ImageTower, folder: Path, *, extends: Space, samples: int) -> None:
    """Write the files of nano@2 into ``folder``, beside that of nano@1, whose words it shares."""
    facts = FACTS | {
        "name": "nano@2",
        "width": OLD + EXTRA,
        "nesting": [*NESTING, OLD + EXTRA],
        "extends": [extends.to_json()],
        "text": "nano-1",
    }
    # The tower learns nano@1's last component like the others, and needs no bank.
    export_image(tower, folder, note={"samples": str(samples)}, facts=facts, querybank=None)


def objections(found: dict[str, Any], folder: Path) -> list[str]:
    """Return why new weights may not be shipped; empty if they may.

    Args:
        found: what `measure` returned.
        folder: the new files, below the folder of all shipped versions.
    """
    against = [
        f"{name}: new/old {found[name]['new_old']:.3f} does not beat old/old {found[name]['old_old']:.3f}"
        for name in ("crop_recall_at_1", "knn_accuracy")
        if not found[name]["new_old"] > found[name]["old_old"]
    ]
    others = [
        path
        for path in folder.parent.rglob("*")
        if path.is_file() and not path.is_relative_to(folder.parent / "nano-2") and folder not in path.parents
    ]
    own = [path for path in folder.rglob("*") if path.is_file()]
    against += [
        f"{path.name} has {path.stat().st_size / 1e6:.1f} MB; a file may have {MOST_FILE / 1e6:.0f}"
        for path in own
        if path.stat().st_size > MOST_FILE
    ]
    together = sum(path.stat().st_size for path in [*others, *own])
    if together > MOST_TOGETHER:
        against.append(f"all weights have {together / 1e6:.1f} MB; they may have {MOST_TOGETHER / 1e6:.0f}")
    return against


if __name__ == "__main__":
    sys.exit(main())
