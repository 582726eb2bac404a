"""The command ``retrieve activate``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrieval.cli.frame import (
    FOLDER,
    Command,
    Session,
    device_option,
    emit,
    given,
    in_options,
    option,
    session,
    shared_by,
)
from retrieval.display import path_json
from retrieval.render import fields, json_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.activation import Activated

ACTIVATE = "retrieval.activation.activation:activate"


@click.command(
    "activate",
    cls=Command,
    common=("--out", "--strength", "--robust", "--format", "--device"),
    sections={"Quality": ("--steps", "--min-psnr", "--quality")},
    example="retrieve activate mine/ --out press/",
)
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGE|FOLDER...")
@click.option(
    "--out", type=FOLDER, required=True, metavar="DIR", help="Where the copies go; made if missing."
)
@option("--steps", of=ACTIVATE, type=int, metavar="N", help="Steps of the optimisation.")
@option(
    "--strength",
    of=ACTIVATE,
    type=float,
    metavar="S",
    help="How much pixels may change, as a factor of what is just noticeable.",
)
@option(
    "--robust",
    of=ACTIVATE,
    is_flag=True,
    help="Make more of the gain survive crops, turns, bars, blur, JPEG, resizing and other light; slower.",
)
@option(
    "--min-psnr",
    of=ACTIVATE,
    type=float,
    metavar="DB",
    help="Decibels that every copy keeps; scaled back to them.",
)
@option("--format", of=ACTIVATE, metavar="png|jpeg|webp", help="The copies' format.")
@option(
    "--quality",
    of=ACTIVATE,
    type=int,
    metavar="Q",
    help="1 to 100: of JPEG (else 95) or WebP (else lossless).",
)
@device_option(ACTIVATE, "where gradients are computed.")
@shared_by(
    "The collection's directory or its image folder; otherwise .retrieve is looked for from the working directory "
    "upwards, then from the first image."
)
@session
def activate(
    session: Session, /, *, images: tuple[Path, ...], out: Path, as_json: bool, **options: Any
) -> int:
    """Make images easier to find again, before they are published.

    Writes copies whose pixels differ imperceptibly, so that their vectors lie where the index keeps the originals'.
    Publish the copies and keep the originals. For your own images; needs torch.
    """
    from retrieval.activation import activate as run
    from retrieval.cli.frame import watching

    session.kept = "the copies already written are kept and recorded; the same command continues"
    with watching(session) as progress:
        results = run(images, out=out, **given(**options), progress=progress)
    if as_json:
        emit(json_text([_json(result) for result in results]))
    else:
        emit(_summary(results))
    made = sum(result.already for result in results)
    if made:
        session.note(
            f"{made:,} of {len(results):,} are already activated for this index and were left as they are"
        )
    for result in results:
        if result.reason and not result.already and (result.status == "refused" or not as_json):
            session.note(
                f"{'refused: ' if result.status == 'refused' else f'{result.path}: '}{in_options(result.reason)}"
            )
    return 1 if all(result.status == "refused" and not result.already for result in results) else 0


def _json(result: Activated) -> dict[str, Any]:
    facts = result.to_json()
    shown = path_json(facts.pop("path"))
    output = facts.pop("output")
    facts["reason"] = facts["reason"] and in_options(facts["reason"])
    return {**shown, **({"output": None} if output is None else path_json(output, "output")), **facts}


def _summary(results: Sequence[Activated]) -> str:
    done = [result for result in results if result.status != "refused"]
    counts = Counter(
        "already there" if result.already else result.status.replace("_", " ") for result in results
    )
    shown = ("activated", "scaled back", "already there", "refused")
    pairs = [("images", ", ".join(f"{counts[word]:,} {word}" for word in shown if counts[word]))]
    if done:
        levels = [result.psnr for result in done if result.psnr is not None]
        if levels:
            pairs.append(("PSNR", f"{sum(levels) / len(levels):.1f} dB mean, {min(levels):.1f} least"))
        similar = [result.ssim for result in done if result.ssim is not None]
        pairs.append(("SSIM", f"{sum(similar) / len(similar):.4f} mean, {min(similar):.4f} least"))
        pairs.append(("largest change", f"{max(result.linf or 0 for result in done)} of 255"))
        before = [result.cosine_before for result in done if result.cosine_before is not None]
        after = [result.cosine_after for result in done if result.cosine_after is not None]
        pairs.append(
            (
                "cosine to the code",
                f"{sum(before) / len(before):.3f} before, {sum(after) / len(after):.3f} after",
            )
        )
    return fields(pairs)
