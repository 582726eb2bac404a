"""``python -m tools.train_nano train|export|head|text|pack|report|own``: every step from the data folder to shipped weights; ``own`` is for your images."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def main() -> None:
    """Parse the command line and run one step."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_nano", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train the image tower; goes on from the checkpoint in OUT")
    train.add_argument("--data", type=Path, required=True, help="the data folder, or a file made by pack")
    train.add_argument("--out", type=Path, required=True, help="folder for arrays, log and checkpoint")
    # What is not given here is as `Recipe` and `TextRecipe` have it.
    recipe: dict[str, Any] = {"default": argparse.SUPPRESS}
    train.add_argument("--minutes", type=float, help="length of the whole schedule", **recipe)
    train.add_argument("--batch", type=int, help="photographs, views and copies a step", **recipe)
    train.add_argument("--rate", type=float, help="of the optimisers, at its highest", **recipe)
    train.add_argument("--threads", type=int, dest="workers", help="cores to use", **recipe)
    train.add_argument("--hard", type=float, help="share of a batch that is altered as copies are", **recipe)
    train.add_argument("--views", type=float, help="share of a batch that the teacher saw altered", **recipe)
    train.add_argument(
        "--frozen", type=int, help="stages that keep what --init says, from the first", **recipe
    )
    train.add_argument("--asked", type=float, help="weight of how far off texts' scores are", **recipe)
    train.add_argument("--ema", type=float, help="how much of the averaged weights a step keeps", **recipe)
    train.add_argument("--warm-steps", type=int, help="steps in which the rate rises", **recipe)
    train.add_argument(
        "--sizes", type=parse_sizes, **recipe,
        help="input sides, each with the share of the schedule at which it ends: 0.45:80,0.8:96,1:112",
    )  # fmt: skip
    train.add_argument(
        "--bfloat16", action="store_true", **recipe,
        help="multiply in bfloat16, as on a GPU always: sooner on CPUs with AVX512-BF16 or AMX, slower on others",
    )  # fmt: skip
    train.add_argument("--init", help="start from these weights: shipped, or a checkpoint's path")
    export = commands.add_parser("export", help="write the checkpoint's image tower into the package")
    export.add_argument("--out", type=Path, required=True, help="the folder that train wrote")
    export.add_argument(
        "--share", type=float, default=1.0,
        help="of the weights to write that is the checkpoint's; the rest is the package's, from which its training began",
    )  # fmt: skip
    head = commands.add_parser("head", help="fit the head of the package's image tower anew")
    head.add_argument("--data", type=Path, required=True)
    head.add_argument("--out", type=Path, required=True, help="the folder that train wrote")
    text = commands.add_parser("text", help="train the text tower against the package's image tower")
    text.add_argument("--data", type=Path, required=True)
    text.add_argument("--out", type=Path, required=True, help="the folder that train wrote")
    text.add_argument("--steps", type=int, help="of the optimiser", **recipe)
    text.add_argument("--rate", type=float, help="of the optimiser, at its highest", **recipe)
    text.add_argument("--seed", type=int, **recipe)
    text.add_argument("--go-on", action="store_true", help="start from the package's text tower")
    pack = commands.add_parser("pack", help="write what train reads into one file of at most 50 MiB")
    pack.add_argument("--data", type=Path, required=True)
    pack.add_argument("--out", type=Path, required=True, help="the folder that train wrote")
    pack.add_argument("--file", type=Path, required=True, help="the file to write, .npz")
    pack.add_argument("--side", type=int, default=112)
    pack.add_argument("--quality", type=int, default=45)
    report = commands.add_parser("report", help="measure the shipped weights on held-out files")
    report.add_argument("--data", type=Path, required=True)
    report.add_argument("--out", type=Path, required=True, help="the folder that train and text wrote")
    report.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    report.add_argument("--version", default="1", help="of nano")
    own = commands.add_parser(
        "own", help="train an encoder on your own images, with any encoder as the teacher"
    )
    own.add_argument("--images", type=Path, required=True, help="a folder of images")
    own.add_argument(
        "--teacher", default="open_clip:ViT-B-32/laion2b_s34b_b79k", help="its spec; open_clip:local-dir:PATH for weights on disk"
    )  # fmt: skip
    own.add_argument("--out", type=Path, required=True, help="folder for arrays, checkpoint, and the encoder")
    own.add_argument("--minutes", type=float, help="length of the whole schedule", **recipe)
    own.add_argument("--batch", type=int, help="photographs and copies a step", **recipe)
    own.add_argument("--threads", type=int, dest="workers", help="cores to use", **recipe)
    own.add_argument("--bfloat16", action="store_true", help="as for train", **recipe)
    own.add_argument(
        "--texts", type=Path, help="texts that words are learnt from, one a line; else WordNet's nouns"
    )
    own.add_argument("--text-steps", type=int, help="of the words' training", **recipe)
    for command in (train, head, text, pack, report, own):
        command.add_argument(
            "--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="Debian's wordnet-base"
        )
    given = parser.parse_args()
    steps = {
        "train": run_train,
        "export": run_export,
        "head": run_head,
        "text": run_text,
        "report": run_report,
        "pack": run_pack,
        "own": run_own,
    }
    steps[given.command](given)


def parse_sizes(text: str) -> tuple[tuple[float, int], ...]:
    """Read ``0.55:96,1:112``: (share of the schedule, input side) pairs with rising shares up to 1."""
    pairs = tuple((float(share), int(side)) for share, side in (part.split(":") for part in text.split(",")))
    shares = [share for share, _ in pairs]
    if shares != sorted(set(shares)) or shares[-1] != 1:
        raise argparse.ArgumentTypeError(f"{text}: the shares must rise and end at 1, as in 0.55:96,1:112")
    return pairs


def chosen(recipe: Any, given: argparse.Namespace) -> dict[str, Any]:
    """Return what the command line says of a recipe's fields."""
    known = {field.name for field in fields(recipe)}
    return {name: value for name, value in vars(given).items() if name in known}


def run_train(given: argparse.Namespace) -> None:
    """Prepare the arrays and train."""
    import torch

    from tools.train_nano.pack import unpack
    from tools.train_nano.prepare import prepare
    from tools.train_nano.tower.train import Recipe, Run

    recipe = Recipe(**chosen(Recipe, given))
    torch.set_num_threads(recipe.workers if torch.cuda.is_available() else 1)
    data = unpack(given.data) if given.data.is_file() else prepare(given.data, given.wordnet, given.out)[1]
    if given.init:  # such weights know whole photographs already
        recipe = replace(recipe, ramp=(0.0, 0.02))
    init, aim = load_init(given.init)
    run = Run(given.out, data, recipe, init=init)
    if aim is not None:
        # Other texts give another alignment, and other targets: what was learnt is then mostly unlearnt first.
        same = float(torch.cosine_similarity(aim, run.aim).mean())
        print(f"cosine of these targets with those of {given.init}: {same:.3f}")
    run.train()


def load_init(source: str | None) -> tuple[dict[str, torch.Tensor] | None, torch.Tensor | None]:
    """Read the weights to start from, and some of the targets they were trained for where they are recorded.

    The package's (``shipped``), which record none, or a checkpoint's average.
    """
    import torch

    from retrieval.encoders.families.nano import WEIGHTS
    from retrieval.encoders.families.nano_torch import read_state

    if source is None:
        return None, None
    if source == "shipped":
        return read_state(WEIGHTS / "nano-1" / "image.safetensors"), None
    state = torch.load(source, map_location="cpu", weights_only=True)
    return state["average"], state.get("aim")


def run_export(given: argparse.Namespace) -> None:
    """Write image.safetensors, image.onnx and encoder.json; the bank of texts is made with the text tower."""
    from retrieval.encoders.families.nano import WEIGHTS
    from retrieval.encoders.families.nano_torch import silent_querybank
    from tools.train_nano.export import averaged_tower, between, export_image

    tower, facts = averaged_tower(given.out / "checkpoint.pt")
    if given.share != 1:
        tower = between(WEIGHTS / "nano-1" / "image.safetensors", tower, share=given.share)
    note = {"samples": str(facts["samples"])}
    export_image(tower, WEIGHTS / "nano-1", note=note, querybank=silent_querybank())


def run_head(given: argparse.Namespace) -> None:
    """Write image.safetensors, image.onnx and encoder.json with another head."""
    from retrieval.encoders.families.nano import WEIGHTS
    from retrieval.encoders.families.nano_torch import folded_tower, read_state, silent_querybank
    from tools.train_nano.export import export_image, read_note
    from tools.train_nano.prepare import prepare
    from tools.train_nano.tower.head import fit_head

    weights = WEIGHTS / "nano-1" / "image.safetensors"
    tower = folded_tower(read_state(weights))
    fit_head(tower, prepare(given.data, given.wordnet, given.out)[1])
    export_image(tower, weights.parent, note=read_note(weights), querybank=silent_querybank())


def run_text(given: argparse.Namespace) -> None:
    """Write text.safetensors, and the bank of texts beside the image tower."""
    from retrieval.encoders.families.nano import WEIGHTS
    from tools.train_nano.words.text import TextRecipe
    from tools.train_nano.words.text_run import fit_text

    recipe = TextRecipe(**chosen(TextRecipe, given))
    fit_text(given.data, given.wordnet, given.out, WEIGHTS / "nano-1", recipe, go_on=given.go_on)


def run_report(given: argparse.Namespace) -> None:
    """Write nano-VERSION.json and .md."""
    from tools.train_nano.report import write_report

    write_report(given.data, given.wordnet, given.out, given.results, version=given.version)


def run_pack(given: argparse.Namespace) -> None:
    """Write the packed file and say its size."""
    from tools.train_nano.pack import pack
    from tools.train_nano.prepare import prepare

    _, data = prepare(given.data, given.wordnet, given.out)
    size = pack(data, given.file, side=given.side, quality=given.quality)
    print(f"{given.file}: {size / 2**20:.1f} MiB")


def run_own(given: argparse.Namespace) -> None:
    """Train on a folder of images and say what was reached."""
    import torch

    from retrieval.encoders import load_encoder
    from tools.train_nano.own import RECIPE, train_own
    from tools.train_nano.tower.train import Recipe
    from tools.train_nano.words.text import TextRecipe

    recipe = replace(RECIPE, **chosen(Recipe, given))
    torch.set_num_threads(recipe.workers if torch.cuda.is_available() else 1)
    words = TextRecipe(**({"steps": given.text_steps} if "text_steps" in given else {}))
    train_own(
        given.images, load_encoder(given.teacher), given.out, recipe, wordnet=given.wordnet, texts=given.texts, words=words
    )  # fmt: skip


if __name__ == "__main__":
    main()
