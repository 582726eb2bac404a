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
    by = "1-NN accuracy" if facts["measure"] == "labels" else "recall@1 of altered views"
    head = fields(
        [
            ("upgrade", f"{facts['old']} → {facts['new']}"),
            ("sample", f"{facts['sample']:,} images, {facts['held_out']:,} held out; {by}, query/gallery:"),
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
    names = ["  method", "old/old", "new/old", "new/new", "gain", "regressed", "words", "map"]
    return head + table(names, rows, columns=columns()) + _ways(facts)


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
            f"{way['now']:.3f}",
            f"{way['end']:.3f}",
            _duration(way["seconds"]),
        ]
        for way in facts["ways"]
    ]
    return (
        "\n"
        + fields([("to do", f"{costs['images']:,} images{rate}"), ("disk", f"at most {taken}")])
        + table(["  plan", "now", "at the end", "time until then"], rows, columns=columns())
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
    done = facts["backfilled"] / max(1, facts["backfilled"] + facts["remaining"])
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
                ("state", f"{facts['state']}, {facts['method']}, {done:.0%} encoded again"),
                ("compatible", _compatible(facts)),
                (
                    "quality",
                    "-" if facts["am"] is None else f"{facts['am']:.3f}, mean of all tests above (AM)",
                ),
                ("update gain", gain),
                (
                    "backfill",
                    f"mean {curve['area_random']:.3f} from the first image to the last",
                ),
            ]
        )
        + "\n"
        + table(["encoded again", "quality"], steps, columns=columns())
    )


def _compatible(facts: Mapping[str, Any]) -> str:
    share = facts["ac"]
    tests = (
        "" if share is None else f"{share:.0%} of the mixed tests that reach the gallery's own encoder (AC)"
    )
    if facts["compatible"]:
        return tests or "-"
    if facts["plan"] == "reencode":
        return f"no map is; {facts['old']} answers until the last image is encoded again"
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
