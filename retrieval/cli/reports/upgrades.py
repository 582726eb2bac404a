"""Print upgrade reports: methods compared, backfill progress, gain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrieval.cli.frame import columns
from retrieval.render import fields, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrieval.upgrades import BackfillReport


def measured(facts: Mapping[str, Any]) -> str:
    """Tabulate what was measured of each method."""
    head = fields(
        [
            ("upgrade", f"{facts['old']} → {facts['new']}"),
            ("sample", f"{facts['sample']:,} {_images(facts['sample'])}{_measure(facts)}"),
            *([("alone", _alone(facts))] if facts.get("alone") else []),
            *([("left out", _left_out(facts))] if facts["gone"] or facts["unreadable"] else []),
        ]
    )
    rows = [
        [
            f"{'*' if method['method'] == facts['method'] else ' '} {method['method']}",
            f"{method['old_old']:.3f}",
            f"{method['new_old']:.3f}",
            f"{method['new_new']:.3f}",
            "-" if method["gain"] is None else f"{method['gain']:+.2f}",
            f"{method['regression_rate']:.3f}",
            _words(method),
            f"{method['map_microseconds']:.0f} µs",
        ]
        for method in facts["methods"]
    ]
    if not rows:
        return head + _ways(facts)
    names = ["  method", "old/old", "new/old", "new/new", "gain", "regressed", "words", "map"]
    return head + table(names, rows, columns=columns()) + _ways(facts)


def _measure(facts: Mapping[str, Any]) -> str:
    """Say what a sample was measured by."""
    if facts["measure"] == "none":
        return ": too few to measure which encoder finds more, so a worse one is not refused"
    by = "1-NN accuracy" if facts["measure"] == "labels" else "recall@1 of altered views"
    return f", {facts['held_out']:,} held out; {by}, query/gallery:"


def _images(count: int) -> str:
    return "image" if count == 1 else "images"


def _alone(facts: Mapping[str, Any]) -> str:
    """Say what each encoder finds without the other."""
    found = facts["alone"]
    return f"{facts['old']} {found['old']:.3f}, {facts['new']} {found['new']:.3f}, of {found['queries']:,} queries without a map"


def _ways(facts: Mapping[str, Any]) -> str:
    """Tabulate what each way to the new encoder gives now and at the end, and what it takes."""
    if not facts["ways"] or facts["plan"] == "none":
        return ""
    costs = facts["costs"]
    rate = "" if costs["images_per_second"] is None else f" at {costs['images_per_second']:.1f} images/s"
    taken = f"{costs['bytes'] / 2**20:,.0f} MiB of {costs['bytes_free'] / 2**20:,.0f} MiB free"
    rows = [
        [
            f"{'*' if way['plan'] == facts['plan'] else ' '} {way['plan']}",
            _quality(way["now"]),
            _quality(way["end"]),
            _duration(way["seconds"]),
        ]
        for way in facts["ways"]
    ]
    todo = f"{costs['images']:,} {_images(costs['images'])}{rate}"
    if costs["images"] == 0:
        todo = f"no image is left to encode: the trial has encoded all {facts['sample']:,}"
    return (
        "\n"
        + fields([("to do", todo), ("disk", f"at most {taken}")])
        + table(["  plan", "now", "at the end", "time until then"], rows, columns=columns())
        + _why_less_at_the_end(facts)
    )


def _quality(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _why_less_at_the_end(facts: Mapping[str, Any]) -> str:
    """Say why a map may seem to find more than the new encoder does at the end."""
    maps = [way for way in facts["ways"] if way["plan"] == facts["plan"] == "map"]
    # Where the new encoder finds less than the old one, the map was forced, and the figures above say why.
    if not maps or maps[0]["now"] <= maps[0]["end"] or facts["alone"]["new"] < facts["alone"]["old"]:
        return ""
    if maps[0]["method"] == "slerp":
        return f"now is more than at the end: both encoders answer each query until then, {facts['new']} alone at the end\n"
    return (
        f"now is an estimate from {facts['held_out']:,} held-out images, the end was measured with {facts['sample']:,}: so few can "
        "show less at the end than now\n"
    )


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _left_out(facts: Mapping[str, Any]) -> str:
    return f"{facts['gone']:,} gone or changed, {facts['unreadable']:,} unreadable"


def _words(method: Mapping[str, Any]) -> str:
    if method.get("text_new_old") is None:
        return "-"
    return f"{method['text_old_old']:.2f} → {method['text_new_old']:.2f}"


def history(facts: Mapping[str, Any]) -> str:
    """Write the compatibility matrix, the summary of it, and the backfill curve."""
    rows = [
        [str(number), *("-" if value is None else f"{value:.3f}" for value in line), name]
        for number, (name, line) in enumerate(zip(facts["encoders"], facts["matrix"], strict=True), start=1)
    ]
    numbers = [str(number) for number in range(1, len(rows) + 1)]
    curve = facts["curve"]
    gain = "none to have" if facts["gain"] is None else f"{facts['gain']:+.3f}"
    if facts["measure"] == "none":
        gain = "-"
    mean = (
        "-"
        if curve["area_random"] is None
        else f"mean {curve['area_random']:.3f} from the first image to the last"
    )
    steps = [
        [f"{share:.0%}", f"{height:.3f}"]
        for share, height in zip(curve["share"], curve["random"], strict=True)
    ]
    missing = [
        f"not measured: {gap['query']} on {gap['gallery']}, {gap['why']}\n" for gap in facts["unmeasured"]
    ]
    return (
        table(["query/gallery", *numbers, "encoder"], rows, columns=columns())
        + "".join(missing)
        + "\n"
        + fields(
            [
                ("state", f"{facts['state']}, {facts['method']}, {encoded_again(facts)}"),
                ("compatible", _compatible(facts)),
                (
                    "quality",
                    "-" if facts["am"] is None else f"{facts['am']:.3f}, mean of all tests above (AM)",
                ),
                ("update gain", gain),
                ("backfill", mean),
            ]
        )
        + ("\n" + table(["encoded again", "quality"], steps, columns=columns()) if steps else "")
    )


def encoded_again(facts: Mapping[str, Any]) -> str:
    """Say how many images the new encoder has encoded, whether they answer by that already or not."""
    answering = facts.get("backfilled") or 0
    total = answering + (facts.get("remaining") or 0)
    done = facts["encoded_so_far"]
    if done < total:
        return f"{done:,} of {total:,} images encoded again"
    if facts["state"] == "migrating":
        return f"all {total:,} images encoded again, {answering:,} answer as new: `retrieve upgrade backfill all` switches over"
    if facts["state"] == "reencoding":
        return f"all {total:,} images encoded again: `retrieve upgrade backfill all` switches over"
    return f"all {total:,} images encoded again"


def _compatible(facts: Mapping[str, Any]) -> str:
    share = facts["ac"]
    tests = (
        "" if share is None else f"{share:.0%} of the mixed tests that reach the gallery's own encoder (AC)"
    )
    if facts["compatible"]:
        return tests or "-"
    if facts["plan"] == "reencode":
        found = "not measured: too few images" if facts["measure"] == "none" else "no map is"
        return (
            f"{found}; {facts['old']} answers until the switch" if facts["state"] == "reencoding" else found
        )
    return f"no: {facts['method']} finds no more in the old gallery than {facts['old']} does{f'; {tests}' if tests else ''}"


def backfilled(done: BackfillReport, facts: Mapping[str, Any]) -> str:
    """Say how many images were encoded again, and how many remain."""
    pairs = [
        ("upgrade", f"{facts['old']} → {facts['new']}, {facts['method']}"),
        ("encoded", f"{done.encoded:,} now, {done.backfilled:,} in all"),
        ("remaining", f"{done.remaining:,}"),
    ]
    if done.gone or done.unreadable:
        pairs.append(("left out", f"{done.gone:,} gone or changed, {done.unreadable:,} unreadable"))
    return fields(pairs)
