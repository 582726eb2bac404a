"""``python -m tools.train_nano train|text|export|pack|report``: every step from the data folder to shipped weights."""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    """Parse the command line and run one step."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_nano", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train the image tower; goes on from the checkpoint in OUT")
    train.add_argument("--data", type=Path, required=True, help="the data folder, or a file made by pack")
    train.add_argument("--out", type=Path, required=True, help="folder for arrays, log and checkpoint")
    train.add_argument("--minutes", type=float, default=95.0, help="length of the whole schedule")
    train.add_argument("--batch", type=int, default=128)
    train.add_argument("--rate", type=float, default=2e-3)
    train.add_argument("--threads", type=int, default=2, help="cores to use")
    train.add_argument("--init", help="start from these weights: shipped, or a checkpoint's path")
    given = parser.parse_args()
    if given.command == "train":
        run_train(given)


def run_train(given: argparse.Namespace) -> None:
    """Prepare the arrays and train."""
    import torch

    from tools.train_nano.prepare import prepare
    from tools.train_nano.train import Recipe, Run

    torch.set_num_threads(1 if not torch.cuda.is_available() else given.threads)
    _, data = prepare(given.data, given.out)
    recipe = Recipe(minutes=given.minutes, batch=given.batch, rate=given.rate, workers=given.threads)
    Run(given.out, data, recipe, init=None).train()


if __name__ == "__main__":
    main()
