"""Decide whether nano@2 may be shipped by what was measured and how large it is, and write its card."""

from __future__ import annotations

import binascii
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders import vectors_of_probes
from retrieval.encoders.families.nano import NanoEncoder
from tools.train_nano.measure import unit
from tools.train_nano.report import MARKS

MOST_FILE, MOST_TOGETHER = 16e6, 21e6  # bytes: one file, and all files of a version
LOSS = 0.005  # what may be within chance
CLEARLY = 0.01
SAME = 0.999  # cosine of what a probe gets, as tests/golden asks
JUDGED = {"1-NN": ("nearest_mean",), "copies": ("copies", "mean"), "caption R@10": ("captions", "recall_10")}


HARDER = {
    "photograph and words for a type, first is right": ("retyped", "right"),
    "the same without the words": ("retyped", "image_alone"),
    "photograph of one thing and words for a second, first five": ("with_thing", "precision_5"),
    "the same, photograph alone": ("with_thing", "image_alone"),
    "the same, words alone": ("with_thing", "words_alone"),
    "first five that show a thing asked to be absent": ("denied", "without"),
    "the same, without the denial": ("denied", "plain"),
    "things that the nearest of scenes of several things shares": ("shared_things", "shared"),
    "the same, of any scene": ("shared_things", "chance"),
    "skew of how often images are found by images": ("hubs", "images", "skew"),
    "images that no image finds": ("hubs", "images", "never"),
    "skew of how often scenes are found by sentences": ("hubs", "sentences", "skew"),
    "scenes that no sentence finds": ("hubs", "sentences", "never"),
}


def judged(found: dict[str, Any]) -> dict[str, float]:
    """Give the three measures that decide."""
    return {name: _at(found, path) for name, path in JUDGED.items()}


def _at(found: dict[str, Any], path: tuple[str, ...]) -> float:
    value: Any = found
    for key in path:
        value = value[key]
    return float(value)


def objections(old: dict[str, Any], new: dict[str, Any], between: dict[str, Any], folder: Path) -> list[str]:
    """Return why new weights may not be shipped; empty if they may.

    Args:
        old, new: what `measure.alone` returned of both versions at full width.
        between: what `measure.across` returned.
        folder: the new files.
    """
    before, after = judged(old), judged(new)
    against = [
        f"{name}: {after[name]:.3f} is more than {LOSS} below nano@1's {before[name]:.3f}"
        for name in before
        if after[name] < before[name] - LOSS
    ]
    better = [name for name in before if after[name] >= before[name] + CLEARLY]
    if len(better) < 2:
        against.append(
            f"of 1-NN, copies and captions {len(better)} are clearly above nano@1's; two should be"
        )
    against += [
        f"{name}: new/old {shares['new_old']:.3f} is not sure to be as good as old/old {shares['old_old']:.3f} (gain {shares['gain_95'][0]:+.3f} to {shares['gain_95'][1]:+.3f})"
        for name, shares in between.items()
        if shares["gain_95"][0] < -LOSS
    ]
    files = [path for path in folder.rglob("*") if path.is_file()]
    against += [
        f"{path.name} has {path.stat().st_size / 1e6:.1f} MB; a file may have {MOST_FILE / 1e6:.0f}"
        for path in files
        if path.stat().st_size > MOST_FILE
    ]
    together = sum(path.stat().st_size for path in files)
    if together > MOST_TOGETHER:
        against.append(f"all files have {together / 1e6:.1f} MB; they may have {MOST_TOGETHER / 1e6:.0f}")
    return against


def probes_changed(new: NanoEncoder, shipped: NanoEncoder) -> list[str]:
    """Return why collections of the shipped version would refuse new files of it: they know an encoder by what probes get.

    A version with other photographs has another fingerprint, and none of its collections.
    """
    if new.space.fingerprint != shipped.space.fingerprint:
        return []
    against = []
    for kind, before in vectors_of_probes(shipped).items():
        if isinstance(before, list):
            rows, known = (_directions(part) for part in (vectors_of_probes(new)[kind], before))
            cosine = float((rows * known).sum(1).min())
            if cosine < SAME:
                against.append(
                    f"{kind}: probes get other vectors (cosine {cosine:.3f}; {SAME} is needed), so collections of {shipped.space.name} would refuse it"
                )
    return against


def _directions(recorded: list[str]) -> NDArray[np.float32]:
    rows = np.stack([np.frombuffer(binascii.a2b_base64(row), np.int8) for row in recorded]).astype(np.float32)
    return unit(rows)


def table(
    widths: dict[str, dict[str, Any]], between: dict[str, Any], kept: dict[str, dict[str, float]]
) -> str:
    """Write what was measured as markdown: both versions by width, then new queries in old galleries, and what is harder.

    ``kept`` is what `harder.kept_at` gave of both versions.
    """
    lines = [
        "| encoder | 1-NN | copy found first | COCO caption R@1, R@10 | Flickr sentence R@1, R@10 | name P@10 | scene-name P@10 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in widths.items():
        sentences = [
            f"{found[group]['recall_1']:.3f}, {found[group]['recall_10']:.3f}"
            for group in ("captions", "flickr")
        ]
        lines.append(
            f"| {name} | {found['nearest_mean']:.3f} | {found['copies']['mean']:.3f} | {' | '.join(sentences)} | "
            f"{found['names']:.3f} | {found['scene_names']:.3f} |"
        )
    lines += [
        "",
        "| query / gallery | old/old | new/old | new/new | gain of new/old, 95 % |",
        "|---|---|---|---|---|",
    ]
    for name, shares in between.items():
        low, high = shares["gain_95"]
        lines.append(
            f"| {name} | {shares['old_old']:.3f} | {shares['new_old']:.3f} | {shares['new_new']:.3f} | {low:+.3f} to {high:+.3f} |"
        )
    first = next(iter(widths.values()))
    last = next(found for name, found in widths.items() if name.startswith("nano@2"))
    sorts = list(first["phrases"])
    lines += ["", "| queries, precision of the first five | nano@1 | nano@2 | chance |", "|---|---|---|---|"]
    lines += [
        f"| {sort} ({first['phrases'][sort]['queries']}) | {first['phrases'][sort]['precision_5']:.3f} | "
        f"{last['phrases'][sort]['precision_5']:.3f} | {first['phrases'][sort]['chance']:.3f} |"
        for sort in sorts
    ]
    lines += [
        "",
        "| names, precision of the first five | nano@1 | nano@2 | the right words |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {how} ({last['spelling'][how]['queries']}) | {first['spelling'][how]['precision_5']:.3f} | "
        f"{last['spelling'][how]['precision_5']:.3f} | {last['spelling'][how]['right_word']:.3f} |"
        for how in last["spelling"]
    ]
    lines += ["", "| copy after | nano@1 | nano@2 |", "|---|---|---|"]
    lines += [
        f"| {name} | {first['copies'][name]:.3f} | {last['copies'][name]:.3f} |" for name in first["copies"]
    ]
    lines += ["", "| 1-NN | nano@1 | nano@2 |", "|---|---|---|"]
    lines += [
        f"| {name} | {first['nearest'][name]:.3f} | {last['nearest'][name]:.3f} |"
        for name in first["nearest"]
    ]
    lines += ["", "| attacked copy found first | nano@1 | nano@2 |", "|---|---|---|"]
    lines += [
        f"| {name} | {first['attacks'][name]:.3f} | {last['attacks'][name]:.3f} |"
        for name in first["attacks"]
    ]
    before, after = kept.values()
    lines += ["", "| 64 components keep of all | nano@1 | nano@2 |", "|---|---|---|"]
    lines += [f"| {name} | {before[name]:.3f} | {after[name]:.3f} |" for name in before]
    lines += ["", "| harder | nano@1 | nano@2 |", "|---|---|---|"]
    lines += [f"| {name} | {_at(first, path):.3f} | {_at(last, path):.3f} |" for name, path in HARDER.items()]
    return "\n".join(lines) + "\n"


def card(measured: str, found: dict[str, Any], *, samples: int, photographs: int, kinds: int) -> str:
    """Write the card of the weights.

    Args:
        measured: what `table` wrote.
        found: what `measure.alone` returned of the new version at full width.
        samples: that the convolutions were trained with beyond nano@1's; they are nano@1's where there are none.
        kinds: words that have a place of their own.
    """
    sorts, said, denied = found["phrases"], found["spelling"], found["denied"]
    least = max(sorts[sort]["precision_5"] for sort in ("count", "colour", "two things"))
    misspelt, typo = (said.get(how, said["typo"]) for how in ("common", "typo"))
    real = f"; real ones: {sorts['real type']['precision_5']:.2f}" if "real type" in sorts else ""
    further = "Further training aims at what MobileNetV2 and EfficientNet-Lite2 see, whitened and placed in that space. "
    further = further if samples else ""
    tower = (
        f"The image tower of nano@1 trained further on {samples:,} samples"
        if samples
        else "The image tower of nano@1 with a new head"
    )
    return f"""# nano@2

{tower}, so that a fixed map turns its vectors into nano@1's, and words of its own: `retrieve upgrade
--encoder nano@2` need fit nothing, and new queries search a gallery of nano@1 as it is. 384 components; prefixes of 16, 32, 64, 128 and 256
are trained and may be used alone. Licence as nano@1's (Apache-2.0); no photograph is shipped.

Its target joins nano@1's vector of the unaltered photograph with what MobileNetV2 sees and what CLIP's words say of it, turned to their
principal axes, the widest first. {further}Trained on {photographs:,} photographs and 36,843 sentences, by `python -m tools.train_oca`;
what each photograph collection is and what its licence says stands in nano@1's card, and the new ones' in the data's own list: sports,
animals, flowers, weather, streets (none stated or research use), BSDS500 (research use), Flickr8k (research use), MS-COCO and food photographs
(assorted CC). {kinds} words for kinds (fish, vehicle, big cat) are not the text tower's: by WordNet they lie where their members' names and
photographs lie.

What does not work:

- Counts, colours and two things: of the first five at most {least:.2f} are right. Who does what to whom is not understood.
- Made types of photograph (grey, at night, blurred): {sorts["type"]["precision_5"]:.2f} of the first five are right{real}.
- A name that people misspell finds {misspelt["precision_5"]:.2f} in the first five, one with a letter wrong {typo["precision_5"]:.2f};
  the right words find {misspelt["right_word"]:.2f} and {typo["right_word"]:.2f}.
  Searches read a misspelt word as the one that was clearly meant; without that it finds about half of what the right word finds.
- Kinds that WordNet lacks or sees otherwise find nothing: "combat sport", "bad weather", "room of a house".
- "Without" is not understood: {denied["without"]:.2f} of the first five show what is asked to be absent, {denied["plain"]:.2f} where nothing is said of it.
- Words beside a photograph ("this one, in black and white") hardly change what is found.
- Small things, and text in pictures, are mostly overlooked; breeds and models are told apart poorly.

Measured on photographs that neither version was trained on:

{MARKS[0]}

{measured}
{MARKS[1]}
"""
