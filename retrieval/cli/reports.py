"""Print reports as aligned lines for people."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from retrieval.cli.progress import duration
from retrieval.location import DIRECTORY
from retrieval.render import Form, fields, hits, path_json, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from indexes.generation import FileCheck
    from retrieval.collection import Collection, Loss
    from retrieval.demo import DemoReport

__all__ = [
    "build",
    "checks",
    "checks_json",
    "collection_note",
    "demo",
    "encoders",
    "evaluation",
    "info",
    "narrowed",
    "next_step",
    "stale",
]

KIB, MIB = 1 << 10, 1 << 20


def build(
    report: Mapping[str, Any],
    *,
    other_files: Mapping[str, int] | None = None,
    left_out: Mapping[str, int] | None = None,
) -> str:
    """Summarise a build.

    Args:
        report: the JSON object of the contract.
        other_files: how many files were no images, by suffix.
        left_out: how many system folders were left out, by name.
    """
    changes = [
        f"{report[key]:,} {word}"
        for key, word in (
            ("encoded", "encoded"),
            ("reused", "reused"),
            ("moved", "moved"),
            ("removed", "removed"),
        )
        if report[key]
    ]
    pairs = [
        ("images", f"{report['images']:,} in {shown(report['root'])}"),
        ("changes", ", ".join(changes) or "none"),
    ]
    if report["skipped"]:
        from retrieval.sources import NOT_FOLLOWED

        reasons = ", ".join(f"{count:,} {reason}" for reason, count in report["skipped_by_reason"].items())
        pairs += [
            ("skipped", f"{report['skipped']:,}: {reasons}"),
            ("", f"each with its reason in {shown(os.path.join(report['index'], 'skipped.tsv'))}"),
        ]
        if NOT_FOLLOWED in report["skipped_by_reason"]:
            pairs.append(("", "--follow-links enters linked folders"))
    if other_files:
        named = {f".{suffix}" if suffix else "without suffix": count for suffix, count in other_files.items()}
        pairs.append(("no images", _counted(named)))
    if left_out:
        pairs.append(("left out", f"{_counted(left_out)}; --include takes them in"))
    seconds = report["seconds"]
    rate = f", {report['images_per_second']:,.0f} images/s" if report["encoded"] else ""
    pairs += [
        ("time", f"{f'{seconds:.1f} s' if seconds < 60 else duration(seconds)}{rate}"),
        ("index", _index(report)),
        ("recall@10", _recall(report)),
    ]
    return fields(pairs)


def _counted(counts: Mapping[str, int], *, most: int = 5) -> str:
    """Sum up what was counted, and name the most frequent."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{count:,} {name}" for name, count in ordered[:most]]
    rest = sum(count for _, count in ordered[most:])
    if rest:
        named.append(f"{rest:,} others")
    return f"{sum(counts.values()):,}: {', '.join(named)}"


def next_step(report: Mapping[str, Any], *, words: bool) -> str:
    """Name the command to try after a build."""
    import shlex

    home = report["root"] if os.path.dirname(report["index"]) == report["root"] else report["index"]
    where = "" if _inside(report["root"], report["index"]) else f" --index {shlex.quote(shown(home))}"
    query = '"a red bus in snow"' if words else "--id 0"
    return f"try: retrieve query {query}{where}"


def info(facts: Mapping[str, Any]) -> str:
    """Describe a collection."""
    upgrade = facts["upgrade"]
    pairs = [
        ("images", f"{facts['images']:,} in {shown(facts['root'])}"),
        (
            "collection",
            f"{shown(facts['index'])}, generation {facts['generation']}, format {facts['format']}",
        ),
        ("encoder", f"{facts['encoder']}, {facts['width']} wide"),
        ("index", _index(facts)),
        ("recall@10", _recall(facts)),
    ]
    if upgrade:
        pairs.append(
            ("upgrade", ", ".join(f"{key} {value}" for key, value in upgrade.items() if _plain(value)))
        )
    pairs += [
        ("activations" if number == 0 else "", _activation(run))
        for number, run in enumerate(facts["activations"])
    ]
    return fields(pairs)


def evaluation(report: Mapping[str, Any]) -> str:
    """Write what was measured, and on how much."""
    latency = report["latency_ms"]
    pairs = [
        (
            "recall@10",
            f"{_number(report['recall_at_10'])} against exact search, {report['recall_sample']:,} queries",
        ),
        (
            "latency",
            f"{latency['p50']:.2f} ms median, {latency['p95']:.2f} ms at the 95th percentile, one thread",
        ),
        ("index", f"{_bytes(report['bytes_per_vector'])} a vector"),
    ]
    if report["labelled"]:
        pairs += [
            ("kNN accuracy", f"{_number(report['knn_accuracy'])} on {report['labelled']:,} labelled files"),
            ("mAP@10", _number(report["map_at_10"])),
        ]
    if report["captions"]:
        recalls = ", ".join(f"{_number(report[f'text_recall_at_{k}'])} at {k}" for k in (1, 5, 10))
        pairs.append(("text recall", f"{recalls} ({report['captions']:,} captions)"))
    text = fields(pairs)
    if report["dims"]:
        text += _dims(report["dims"])
    return text + (attacks(report["attacks"]) if report["attacks"] else "")


def attacks(outcomes: Sequence[Mapping[str, Any]]) -> str:
    """Tabulate recall@1 and micro-AP by attack: of originals, of activated copies, and by exact search."""
    from retrieval.evaluation import little_to_gain

    stages = [stage for stage in ("codes", "served") if any(row["stage"] == stage for row in outcomes)]
    text = [""]
    for measure, name in (("recall_at_1", "recall@1"), ("micro_ap", "micro-AP")):
        chosen = {(row["attack"], row["stage"]): row for row in outcomes if row["measure"] == measure}
        names = list(dict.fromkeys(row["attack"] for row in outcomes))
        cells = [
            [
                attack,
                *(_passive_active([chosen[attack, stage]]) for stage in stages),
                f"{chosen[attack, stages[0]]['exact']:.2f}",
            ]
            for attack in names
        ]
        means = [[chosen[attack, stage] for attack in names] for stage in stages]
        exact = sum(row["exact"] for row in means[0]) / len(names)
        cells.append(["mean", *map(_passive_active, means), f"{exact:.2f}"])
        heads = {"codes": "codes only", "served": "as served"}
        text.append(table([name, *(heads[stage] for stage in stages), "exact"], cells, columns=80))
        text.append("\n")
    active = outcomes[0]["active"] is not None
    text.append(
        f"{outcomes[0]['images']:,} images{', passive -> active' if active else ''}; codes only: one list probed, nothing reranked; "
        "as served: reranked; exact: of passive copies\n"
    )
    if not active:
        text.append(
            "no activated copies are recorded that still hold; make some with: retrieve activate FOLDER --out DIR\n"
        )
    text += [
        f"{heads[stage]}: within a point of exact search already, so little is to be gained by activating images\n"
        for stage in stages
        if little_to_gain([dict(row) for row in outcomes], stage)
    ]
    return "".join(text)


def _passive_active(rows: Sequence[Mapping[str, Any]]) -> str:
    passive = sum(row["passive"] for row in rows) / len(rows)
    if any(row["active"] is None for row in rows):
        return f"{passive:.2f}"
    return f"{passive:.2f} -> {sum(row['active'] for row in rows) / len(rows):.2f}"


def _dims(rows: Sequence[Mapping[str, Any]]) -> str:
    """Tabulate what prefixes of each width find."""
    heads = ["width", "recall@10", "reranked", "kNN accuracy", "bytes", "ms median", "ms 95th"]
    lines = [
        [
            str(row["dim"]),
            _number(row["recall_at_10"]),
            _number(row["recall_at_10_reranked"]),
            _number(row["knn_accuracy"]) if row["knn_accuracy"] is not None else "-",
            f"{row['bytes_per_vector']:.0f}",
            f"{row['latency_ms']['p50']:.3f}",
            f"{row['latency_ms']['p95']:.3f}",
        ]
        for row in rows
    ]
    return "\n" + table(heads, lines, columns=80)


def checks_json(found: Sequence[FileCheck]) -> dict[str, Any]:
    """Give the checks of a collection's files the contract's keys."""
    files = [{**path_json(str(check.path)), "ok": check.ok, "cure": check.cure or None} for check in found]
    return {"ok": all(check.ok for check in found), "files": files}


def checks(found: Sequence[FileCheck]) -> str:
    """List the files of a collection, each damaged one with what mends it."""
    return fields(
        [
            ("ok" if check.ok else "damaged", f"{check.path}{'' if check.ok else f': {check.cure}'}")
            for check in found
        ]
    )


def encoders(known: Iterable[Mapping[str, Any]], columns: int) -> str:
    """Tabulate the encoders: what each reads, and what is missing for it."""
    rows = [
        [
            family["spec"],
            _mark(family["image"]),
            _mark(family["text"]),
            _mark(family["differentiable"]),
            "installed" if family["available"] else str(family["install"] or "not available"),
        ]
        for family in known
    ]
    return table(["encoder", "images", "words", "gradients", "status"], rows, columns=columns)


def demo(report: DemoReport, columns: int) -> str:
    """Show the demo's answers, and where its page lies."""
    text = [f"{report.photos} photographs, each query's best:\n"]
    for answer in report.answers:
        text.append(f"\n{answer.title}\n")
        text.append(hits(answer.hits[:3], Form.TABLE, columns=columns).decode())
    text.append(f"\npage: {shown(str(report.gallery))}\n")
    return "".join(text)


def collection_note(collection: Collection) -> str:
    """Say in a line, for a page, what was searched; no absolute path, because pages are passed on."""
    return f"{collection.root.name}, {len(collection):,} images, {collection.manifest.encoder or collection.space.name}"


def narrowed(loss: Loss | None, *, dim: int, width: int) -> str:
    """Say what a search that ranked by a prefix first was measured to lose, or that it was not."""
    ranked = f"the first {dim} of {width} components rank every row"
    if loss is None:
        return f"note: {ranked}; what that loses is not measured yet; to measure it: retrieve evaluate --dims {dim}"
    return (
        f"note: {ranked}, and a shortlist of {loss.shortlist:,} is ordered by all: recall@10 {loss.recall_at_10:.3f} "
        f"against exact search, measured on {loss.sample:,} stored rows"
    )


def stale(collection: Collection) -> str:
    """Say that the folder is newer than its index."""
    import shlex

    root, home = collection.root, collection.directory
    where = "" if home == root / DIRECTORY else f" --index {shlex.quote(shown(str(home)))}"
    return (
        "note: files came or went since the index was built; to take them up: "
        f"retrieve build-index {shlex.quote(shown(str(root)))}{where}"
    )


def shown(path: str) -> str:
    """Give a path as one would type it: relative to the working directory where it lies inside."""
    try:
        here = os.getcwd()
    except FileNotFoundError:  # it was deleted
        return path
    inside = path == here or path.startswith(here.rstrip(os.sep) + os.sep)
    return os.path.relpath(path, here) if inside else path


def _activation(run: Mapping[str, Any]) -> str:
    held = f"void: {run['void']}; activate the originals again" if run["void"] else "valid"
    return f"{run['images']:,} images on {str(run['at'])[:10]}, generation {run['generation']}: {held}"


def _index(facts: Mapping[str, Any]) -> str:
    if facts["factory"] is None:
        size = 2 * facts["width"] * facts["images"]
        return f"exact search, {size / 1e6:,.1f} MB" if size >= 1e5 else f"exact search, {size / 1e3:,.1f} kB"
    first = "" if facts["dim"] == facts["width"] else f", first {facts['dim']} of {facts['width']} wide"
    if facts["kind"] == "flat":
        return f"funnel, {_bytes(facts['bytes_per_vector'])} a vector{first}"
    name = f" {facts['factory']}" if facts["factory"] and facts["factory"] != facts["kind"] else ""
    return f"{facts['kind']}{name}, {_bytes(facts['bytes_per_vector'])} a vector{first}"


def _recall(facts: Mapping[str, Any]) -> str:
    reason = f" ({facts['recall_reason']})" if facts["recall_reason"] else ""
    if facts["recall_at_10"] is None:
        if facts["factory"] is None:
            return f"complete: every image is compared{reason}"
        return facts["recall_reason"] or "not measured: fewer than 100 rows"
    words = "" if facts["recall_at_10_text"] is None else f"; {_number(facts['recall_at_10_text'])} for words"
    return f"{_number(facts['recall_at_10'])} measured on {facts['recall_sample']:,} stored images{words}{reason}"


def _inside(root: str, index: str) -> bool:
    """Say whether a search from the working directory finds this collection by itself."""
    try:
        here = os.path.realpath(os.getcwd())
    except FileNotFoundError:  # it was deleted
        return False
    home = os.path.realpath(root)
    return os.path.dirname(index) == root and (here == home or here.startswith(home.rstrip(os.sep) + os.sep))


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"


def _bytes(value: float) -> str:
    if value >= MIB:
        return f"{value / MIB:.1f} MiB"
    return f"{value / KIB:.1f} KiB" if value >= 10 * KIB else f"{value:.0f} bytes"


def _mark(value: object) -> str:
    return "yes" if value else "-"


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float)
