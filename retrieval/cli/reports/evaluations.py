"""Print what was measured of a collection: recall, latency, quality, altered copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from retrieval.cli.reports.index_facts import bytes_words, number_words
from retrieval.display import escape
from retrieval.render import fields, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EQUAL: Final = 0.999
"""Cosine of two files that show equal pixels, or nearly."""


def evaluation_tables(report: Mapping[str, Any]) -> str:
    """Write what was measured, and on how much."""
    latency = report["latency_ms"]
    pairs = [
        (
            "recall@10",
            f"{number_words(report['recall_at_10'])} against exact search, {report['recall_sample']:,} queries",
        ),
        (
            "latency",
            f"{latency['p50']:.2f} ms median, {latency['p95']:.2f} ms at the 95th percentile, one thread",
        ),
        ("index", f"{bytes_words(report['bytes_per_vector'])} a vector"),
    ]
    if report["labelled"]:
        pairs += [
            (
                "kNN accuracy",
                f"{number_words(report['knn_accuracy'])} on {report['labelled']:,} labelled files",
            ),
            ("mAP@10", number_words(report["map_at_10"])),
        ]
    if report["captions"]:
        recalls = ", ".join(f"{number_words(report[f'text_recall_at_{k}'])} at {k}" for k in (1, 5, 10))
        pairs.append(("text recall", f"{recalls} ({report['captions']:,} captions)"))
    text = fields(pairs)
    if report["dims"]:
        text += _dims(report["dims"])
    if report["pairs"] is not None:
        text += _pairs(report["pairs"])
    return text + (attacks(report["attacks"]) if report["attacks"] else "")


def pair_notes(pairs: Mapping[str, Any]) -> list[str]:
    """Say which lines and files do not count, and why."""
    lines = []
    if pairs["unknown"]:
        first = pairs["unknown"][0]["original"]
        lines.append(
            f"{_some(len(pairs['unknown']), 'line')} left out: their originals, such as {escape(first)}, are not in the collection"
        )
    if pairs["unreadable"]:
        first = pairs["unreadable"][0]
        lines.append(
            f"{_some(len(pairs['unreadable']), 'file')} left out that cannot be read, such as {escape(first['path'])}: {first['reason']}"
        )
    if pairs["repeated"]:
        lines.append(f"{_some(pairs['repeated'], 'line')} came twice and counted once")
    if pairs["in_the_collection"]:
        lines.append(
            f"{_some(pairs['in_the_collection'], 'image')} of the distractors or background left out: the collection has the same bytes"
        )
    same = [pair for pair in pairs["mistaken"] if _is_same(pair, pairs["rankings"])]
    if same:
        first = same[0]
        lines.append(
            f"of the {len(pairs['mistaken']):,} worst pairs counted as wrong {len(same):,} show the same picture, such as "
            f"{escape(first['query'])} and {escape(first['row'])}: look whether the collection has it under another name; --html FILE shows them"
        )
    return lines


def _some(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _is_same(pair: Mapping[str, Any], rankings: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether a pair shows the same picture by its pixels, or, where they were not compared, by its cosine."""
    if pair["relation"]:
        return bool(pair["relation"] == "picture")
    by_cosine = rankings[-1]["by"] == "cosine" and not rankings[-1]["normalised"]
    return by_cosine and pair["score"] is not None and pair["score"] >= _EQUAL


def _pairs(pairs: Mapping[str, Any]) -> str:
    """Tabulate how well each order of the pairs tells copies from others."""
    cells = [
        [
            ranking["by"] + (", normalised" if ranking["normalised"] else ""),
            *(
                _interval(ranking[name])
                for name in ("micro_ap", "recall_at_precision_90", "recall_at_precision_99", "recall_at_1")
            ),
        ]
        for ranking in pairs["rankings"]
    ]
    heads = ["ranked by", "micro-AP", "at precision 0.9", "at 0.99", "found first"]
    background = f", {pairs['background']:,} background images" if pairs["background"] else ""
    return (
        "\n"
        + table(heads, cells, columns=120)
        + f"\n{pairs['queries']:,} queries with {pairs['pairs']:,} originals, {pairs['distractors']:,} without{background}; at a "
        f"precision: recall; in brackets: 95 % intervals; the first {pairs['depth']:,} hits hold {pairs['recall_at_depth']:.2f} of the originals\n"
    )


def _interval(found: Mapping[str, float]) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f}-{found['high']:.3f})"


def attacks(outcomes: Sequence[Mapping[str, Any]]) -> str:
    """Tabulate recall@1 and micro-AP by attack: of originals, of activated copies, and by exact search."""
    from retrieval.evaluation import little_to_gain

    stages = [
        stage for stage in ("codes", "served", "verified") if any(row["stage"] == stage for row in outcomes)
    ]
    text = [""]
    for measure, name in (("recall_at_1", "recall@1"), ("micro_ap", "micro-AP")):
        chosen = {(row["attack"], row["stage"]): row for row in outcomes if row["measure"] == measure}
        names = list(dict.fromkeys(row["attack"] for row in outcomes))
        cells = [
            [
                attack,
                *(_before_after([chosen[attack, stage]]) for stage in stages),
                f"{chosen[attack, stages[0]]['exact']:.2f}",
            ]
            for attack in names
        ]
        means = [[chosen[attack, stage] for attack in names] for stage in stages]
        exact = sum(row["exact"] for row in means[0]) / len(names)
        cells.append(["mean", *map(_before_after, means), f"{exact:.2f}"])
        heads = {"codes": "codes only", "served": "as served", "verified": "verified"}
        text.append(table([name, *(heads[stage] for stage in stages), "exact"], cells, columns=80))
        text.append("\n")
    active = outcomes[0]["activated"] is not None
    checked = (
        "; verified: as served, and the first hit whose pixels agree comes first"
        if "verified" in stages
        else ""
    )
    text.append(
        f"{outcomes[0]['images']:,} images{', original -> activated' if active else ''}; codes only: one list probed, nothing reranked; "
        f"as served: reranked{checked}; exact: of copies of the originals\n"
    )
    if not active:
        text.append(
            "no activated copies are recorded that still hold; make some with: retrieve activate FOLDER --out DIR\n"
        )
    text += [
        f"{heads[stage]}: within a point of exact search already, so little is to be gained by activating images\n"
        for stage in stages
        if stage != "verified" and little_to_gain([dict(row) for row in outcomes], stage)
    ]
    return "".join(text)


def _before_after(rows: Sequence[Mapping[str, Any]]) -> str:
    original = sum(row["original"] for row in rows) / len(rows)
    if any(row["activated"] is None for row in rows):
        return f"{original:.2f}"
    return f"{original:.2f} -> {sum(row['activated'] for row in rows) / len(rows):.2f}"


def _dims(rows: Sequence[Mapping[str, Any]]) -> str:
    """Tabulate what prefixes of each width find."""
    heads = ["width", "recall@10", "reranked", "kNN accuracy", "bytes", "ms median", "ms 95th"]
    lines = [
        [
            str(row["dim"]),
            number_words(row["recall_at_10"]),
            number_words(row["recall_at_10_reranked"]),
            number_words(row["knn_accuracy"]) if row["knn_accuracy"] is not None else "-",
            f"{row['bytes_per_vector']:.0f}",
            f"{row['latency_ms']['p50']:.3f}",
            f"{row['latency_ms']['p95']:.3f}",
        ]
        for row in rows
    ]
    return "\n" + table(heads, lines, columns=80)
