"""Make nano@2 from nano@1: better, and at home in galleries of nano@1 by construction.

    python -m tools.train_oca restore --work RUN --state FILE
    python -m tools.train_oca train   --data DATA --work RUN [--minutes 240]
    python -m tools.train_oca teachers --data DATA --work RUN
    python -m tools.train_oca targets --data DATA --work RUN [--some 8000]
    python -m tools.train_oca further --data DATA --work RUN [--minutes 240]
    python -m tools.train_oca finish  --data DATA --work RUN
    python -m tools.train_oca kinds   --data DATA --work RUN
    python -m tools.train_oca words   --data DATA --work RUN [--steps 400]
    python -m tools.train_oca measure --data DATA --work RUN [--ship] [--unreleased]
    python -m tools.train_oca keep    --work RUN --state FILE

``RUN`` holds arrays, log and checkpoint. ``train`` goes on from its last checkpoint (one every five minutes), and a stopped process
(SIGSTOP) loses nothing, since the schedule counts the processor's time. ``finish`` fits the head (of the tower of ``RUN/nano-2``
where nothing was trained, or of nano@1's), the words from those of ``RUN/nano-2``, the bank of texts and the maps back to nano@1's space,
and writes ``RUN/nano-2``; ``measure`` compares it with nano@1 on photographs that neither was trained on,
and ships it if that is allowed. ``teachers`` embeds all photographs with both teachers (it goes on where it stopped), ``targets`` tries targets of them; ``further`` trains the shipped tower by the best of these instead, and writes ``RUN/nano-2`` with the shipped
words; ``kinds`` writes there what is shipped with words that know which kinds have which members. ``words`` trains the shipped words by made
pictures for the tower of ``RUN/nano-2``, and fits there what depends on both: words for kinds, the bank of texts, the way back. ``keep`` writes what a later session starts from into one file, ``restore`` lays it out again.

A nano@2 that is not shipped can be kept in one file: ``restore`` and ``measure --ship`` ship it, if it is still allowed; ``restore``,
``train``, ``finish`` and ``keep`` go on from it.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.frame import save, watch
from retrieval.encoders.families.nano import WEIGHTS, NanoEncoder, open_nano
from retrieval.encoders.families.nano_text import KINDS, map_tensors
from tools.fit_relevance.photographs import keep_vectors
from tools.train_nano.export import record_files, save_tensors
from tools.train_nano.inputs.data import Photo, list_photos, load_rgb
from tools.train_nano.report import speed
from tools.train_nano.words.vocabulary import write_vocabulary
from tools.train_oca import further, harder, measure
from tools.train_oca.data import prepare
from tools.train_oca.finish import TEXT_RECIPE, finish
from tools.train_oca.further import (
    SHIPPED,
    export_further,
    go_on,
    look_at_all,
    mixed,
    set_training,
    tune_last,
)
from tools.train_oca.ship import card, objections, probes_changed, table
from tools.train_oca.state import keep, restore
from tools.train_oca.stronger import CANDIDATES, LEFT_OUT, both_teachers, set_trial, stronger
from tools.train_oca.train import RECIPE, averaged, last_tower, start_run
from tools.train_oca.words import made_words
from tools.train_oca.words.kinds import words_with_kinds
from tools.train_oca.words.refit import refit

ROUNDS = 5  # of measuring how fast versions are


def main() -> int:
    """Run one step."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.train_oca", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train the image tower; goes on from the checkpoint in RUN")
    train.add_argument("--minutes", type=float, default=240.0, help="of the processor, over all sittings")
    train.add_argument(
        "--falls", type=float, default=RECIPE.falls, help="share of them at which the rate begins to fall"
    )
    train.add_argument("--float32", action="store_true", help="for processors without AVX512-BF16 or AMX")
    train.add_argument("--pid", type=Path, help="write the process's number here")
    more = commands.add_parser(
        "further", help="train the shipped tower further by a stronger target; goes on"
    )
    more.add_argument("--minutes", type=float, default=240.0, help="of the processor, over all sittings")
    more.add_argument("--falls", type=float, default=further.RECIPE.falls, help="as for train")
    more.add_argument(
        "--share", type=float, default=1.0, help="of the trained weights; the rest are the shipped tower's"
    )
    more.add_argument("--every", type=float, default=10.0, help="minutes between two checks")
    taught = commands.add_parser(
        "teachers", help="embed all photographs with both teachers; goes on where it stopped"
    )
    tried = commands.add_parser("targets", help="try targets of both teachers on some training photographs")
    tried.add_argument("--some", type=int, default=8000, help="photographs")
    kinds = commands.add_parser("kinds", help="teach the shipped words which kinds have which members")
    told = commands.add_parser(
        "words", help="train words by made pictures for the tower of RUN/nano-2, and fit what depends on both"
    )
    told.add_argument("--steps", type=int, default=made_words.RECIPE.steps)
    last = commands.add_parser("finish", help="fit head, words, bank and maps; write RUN/nano-2")
    last.add_argument("--steps", type=int, default=TEXT_RECIPE.steps, help="of the words' training")
    exam = commands.add_parser("measure", help="compare RUN/nano-2 with nano@1")
    exam.add_argument("--ship", action="store_true", help="put it into the package if that is allowed")
    exam.add_argument(
        "--unreleased", action="store_true", help="no release has nano@2: what words get may change"
    )
    kept = commands.add_parser("keep", help="write the state that a later session starts from")
    kept.add_argument("--state", type=Path, required=True)
    back = commands.add_parser("restore", help="lay out in RUN what keep wrote")
    back.add_argument("--state", type=Path, required=True)
    for command in (train, taught, tried, more, kinds, told, last, exam, kept, back):
        command.add_argument("--work", type=Path, required=True, help="folder for arrays, log and checkpoint")
    for command in (train, taught, tried, more, kinds, told, last, exam):
        command.add_argument("--data", type=Path, required=True, help="the data folder")
        command.add_argument(
            "--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="Debian's wordnet-base"
        )
    given = parser.parse_args()
    torch.set_num_threads(1)
    steps = {
        "train": run_train,
        "teachers": run_teachers,
        "targets": run_targets,
        "further": run_further,
        "finish": run_finish,
        "kinds": run_kinds,
        "words": run_words,
        "measure": run_measure,
        "keep": run_keep,
        "restore": run_restore,
    }
    return steps[given.command](given)


def run_train(given: argparse.Namespace) -> int:
    """Prepare the arrays and train."""
    if given.pid:
        given.pid.write_text(str(os.getpid()), encoding="utf-8")
    lesson = prepare(given.data, given.wordnet, given.work, open_nano("1", threads=1))
    recipe = replace(RECIPE, minutes=given.minutes, falls=given.falls, bfloat16=not given.float32)
    start_run(given.work, lesson.data, recipe).train()
    return 0


def run_further(given: argparse.Namespace) -> int:
    """Train the shipped tower toward what both teachers see, and write it beside the shipped words."""
    known, words = look_at_all(given.data, given.work), SHIPPED / "text.safetensors"
    recipe = replace(further.RECIPE, minutes=given.minutes, falls=given.falls)
    told = stronger(known, both_teachers(given.data, known.photos, given.work))
    run = go_on(given.work, set_training(known, words, told), recipe)
    run.log("start", **run.check())
    run.train(checkpoint_seconds=60 * given.every, checked=1)
    trained, samples = averaged(given.work)
    tower = mixed(trained, given.share)
    tune_last(tower, run.data, known.photos)
    export_further(tower, known, given.work / "nano-2", words, samples=samples)
    return 0


def run_teachers(given: argparse.Namespace) -> int:
    """Embed with both teachers."""
    both_teachers(given.data, list_photos(given.data), given.work)
    return 0


def run_targets(given: argparse.Namespace) -> int:
    """Try every candidate for a target, and keep the numbers."""
    with watch() as load:
        trial = set_trial(given.data, given.work / f"some-{given.some}", some=given.some)
        found = {}
        for name, choice in CANDIDATES.items():
            found[name] = trial.run(choice)
            print(name, json.dumps(found[name]), flush=True)
    save("nano-2_targets", load=load, left_out=LEFT_OUT, photographs=given.some, candidates=found)
    return 0


def run_kinds(given: argparse.Namespace) -> int:
    """Write what is shipped, with words that know which kinds have which members."""
    known, folder = look_at_all(given.data, given.work), given.work / "nano-2"
    tensors = words_with_kinds(given.data, given.wordnet, known, SHIPPED / "text.safetensors")
    shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
    save_tensors(tensors, folder / "text.safetensors")
    return 0


def run_words(given: argparse.Namespace) -> int:
    """Train words further for the tower of ``RUN/nano-2``, and fit there what depends on both."""
    refit(given.data, given.wordnet, given.work, replace(made_words.RECIPE, steps=given.steps))
    return 0


def run_finish(given: argparse.Namespace) -> int:
    """Write ``RUN/nano-2``."""
    old = open_nano("1", threads=1)
    lesson = prepare(given.data, given.wordnet, given.work, old)
    tower, samples = last_tower(given.work)
    recipe = replace(TEXT_RECIPE, steps=given.steps)
    finish(lesson, tower, given.work / "nano-2", old=old.space, samples=samples, recipe=recipe)
    return 0


def run_measure(given: argparse.Namespace) -> int:
    """Compare both versions, keep the numbers, and ship or say why not."""
    photos, folder = list_photos(given.data), given.work / "nano-2"
    record_files(folder)  # words may be newer than the rest
    exam = measure.set_exam(photos)
    pixels = np.load(given.work / "pixels.npy", mmap_mode="r")
    encoders = {"nano@1": open_nano("1", threads=1), "nano@2": NanoEncoder(folder, threads=1)}
    with watch() as load:
        answers = {}
        for name, encoder in encoders.items():
            kept = given.work / f"answers-{encoder.space.fingerprint[:12]}.pkl"
            if not kept.exists():
                kept.write_bytes(pickle.dumps(measure.answer(exam, given.data, pixels, encoder)))
            found = pickle.loads(kept.read_bytes())  # noqa: S301 - this tool's own
            answers[name] = measure.reworded(exam, found, encoder)
    keep_vectors(given.work / "relevance", encoders["nano@2"], photos, pixels, answers["nano@2"].gallery)
    widths = {
        f"{name} {dim}": measure.alone(exam, answers[name], dim=dim)
        for name, encoder in encoders.items()
        for dim in measure.widths(encoder)
    }
    kept = {
        name: harder.kept_at(
            {dim: widths[f"{name} {dim}"] for dim in measure.widths(encoder)}, 64, encoder.space.dim
        )
        for name, encoder in encoders.items()
    }
    image, text = encoders["nano@2"].maps_back(encoders["nano@1"].space)
    between = measure.across(exam, answers["nano@1"], answers["nano@2"], image.apply, (text or image).apply)
    against = objections(
        widths["nano@1 256"], next(v for k, v in widths.items() if "@2" in k), between, folder
    )
    if not given.unreleased:
        against += probes_changed(encoders["nano@2"], open_nano("2", threads=1))
    found = table(widths, between, kept)
    samples, trained = last_tower(given.work)[1], sum(photo.split == "train" for photo in photos)
    listed = map_tensors(folder / "text.safetensors").get(KINDS)
    kinds = 0 if listed is None else listed.tobytes().count(b"\n") + 1
    newest = next(value for name, value in widths.items() if "@2" in name)
    written = card(found, newest, samples=samples, photographs=trained, kinds=kinds)
    (folder / "card.md").write_text(written, encoding="utf-8")
    print(found, *against, sep="\n")
    save(
        "nano-2_compatible", load=load, samples=samples, images_per_second=speeds(encoders, given.data, photos), shipped=bool(given.ship and not against),
        objections=against, bytes=sum(path.stat().st_size for path in folder.iterdir()), by_width=widths, kept_at_64=kept, across=between,
    )  # fmt: skip
    if given.ship and not against:
        shutil.rmtree(WEIGHTS / "nano-2", ignore_errors=True)
        shutil.copytree(folder, WEIGHTS / "nano-2")
        print(f"shipped: {WEIGHTS / 'nano-2'}", write_vocabulary(given.data, given.wordnet, "2"), sep="\n")
    return int(bool(against))


def speeds(encoders: dict[str, NanoEncoder], data: Path, photos: list[Photo]) -> dict[str, list[float]]:
    """Measure how many photographs a second one core decodes and encodes, in turn, `ROUNDS` times each."""
    photo = load_rgb(data / photos[0].file)
    found: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(ROUNDS):
        for name, encoder in encoders.items():
            found[name].append(speed(encoder, photo, seconds=3.0))
    return found


def run_keep(given: argparse.Namespace) -> int:
    """Write the state file and say its size."""
    size = keep(given.work, given.state)
    print(json.dumps({"state": str(given.state), "bytes": size}))
    return 0


def run_restore(given: argparse.Namespace) -> int:
    """Lay out ``RUN/nano-2``."""
    restore(given.state, given.work, old=open_nano("1", threads=1).space)
    return 0


if __name__ == "__main__":
    sys.exit(main())
