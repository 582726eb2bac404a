"""The results of `bench_activate.py` as Markdown."""

from __future__ import annotations

from typing import Any

from benchmarks.activation.measures import AGAIN, QUALITIES
from benchmarks.activation.summary import STAGES


def table(record: dict[str, Any]) -> str:
    """Write the whole record."""
    parameters = record["parameters"]
    text = ["# Active indexing: altered copies found again\n"]
    text.append(
        f"{parameters['images']} photographs activated at their native size (short side 128 pixels), "
        f"{parameters['rows']:,} rows in the collection, {parameters['encoder']}; recall@1, passive → active. "
        "Codes: the first stage alone, one list probed, nothing reranked. "
        f"`{record['command']}`, all numbers in `{record['benchmark']}.json`.\n"
    )
    text += _overview(record["kinds"])
    for label, result in record["kinds"].items():
        text += _run(label, result)
    if "speed" in record:
        speed = record["speed"]
        rates, seconds = speed["images a second"], speed["CPU seconds an image"]
        text.append("## Speed\n")
        text.append(
            f"{speed['images']} images of {speed['pixels'][0]} x {speed['pixels'][1]}, whole calls: "
            + "; ".join(
                f"{name} {rate['median']:.2f} images a second ({rate['min']:.2f} to {rate['max']:.2f}), "
                f"{seconds[name]['median']:.2f} CPU seconds an image"
                for name, rate in rates.items()
            )
            + ".\n"
        )
    if "psnr" in record.get("picture", {}):
        picture = record["picture"]
        text.append(
            f"## One picture\n\n{picture['picture']}: PSNR {picture['psnr']}, SSIM {picture['ssim']}.\n"
        )
    return "\n".join(text)


def _overview(runs: dict[str, Any]) -> list[str]:
    text = [
        "| run | codes | exact, passive | share of the gap | codes, tuned lists | as served | false matches | PSNR | SSIM | cosine to the code |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for label, result in runs.items():
        lines, quality = result["summary"], result["fidelity"]
        codes, tuned, served = (lines[f"{stage}, recall_at_1"] for stage in STAGES)
        share = "-" if codes["share of the gap"] is None else f"{codes['share of the gap']:.2f}"
        text.append(
            f"| {label} | {_both(codes)} | {codes['exact']:.3f} | {share} | {_both(tuned)} | {_both(served)} | "
            f"{_both(lines['false'])} | {quality['psnr']['mean']:.2f} | {quality['ssim']['mean']:.4f} | "
            f"{quality['cosine_before']['mean']:.3f} → {quality['cosine_after']['mean']:.3f} |"
        )
    return [*text, ""]


def _run(label: str, result: dict[str, Any]) -> list[str]:
    fidelity, lines = result["fidelity"], result["summary"]
    text = [f"## {label}\n"]
    text.append(
        f"{fidelity['activated']} activated, {fidelity['scaled back']} scaled back, {len(fidelity['refused'])} refused; "
        f"PSNR {fidelity['psnr']['mean']:.2f} dB (least {fidelity['psnr']['least']:.2f}), "
        f"SSIM {fidelity['ssim']['mean']:.4f} (least {fidelity['ssim']['least']:.3f}), "
        f"largest change {fidelity['linf']['most']} of 255; cosine to the code "
        f"{fidelity['cosine_before']['mean']:.3f} → {fidelity['cosine_after']['mean']:.3f}; "
        f"{fidelity['images a second']} images a second, {fidelity['CPU seconds an image']} CPU seconds an image.\n"
    )
    text.append("| attack | codes | codes, tuned lists | as served | exact, passive | cosine | same cell |")
    text.append("|---|---|---|---|---|---|---|")
    text += [_row(name, facts) for name, facts in result["attacks"].items()]
    for stage in STAGES:
        line = lines[f"{stage}, recall_at_1"]
        share = "-" if line["share of the gap"] is None else f"{line['share of the gap']:.2f}"
        text.append(
            f"\nMean, {stage}: {_both(line)}, exact {line['exact']:.3f}; gain {line['gain']:+.3f}, gap {line['gap']:.3f}, "
            f"share of the gap {share}."
        )
    plain = lines["the same attacks without it, codes, one list"]
    text.append(
        f"\nFive attacks ({', '.join(AGAIN)}), codes: {_both(plain)}; on the file compressed "
        + "; ".join(
            f"as JPEG {quality} before: {_both(lines[f'after jpeg {quality}, codes, one list'])}"
            for quality in QUALITIES
        )
        + "."
    )
    text.append(
        f"\nFalse matches: first hit is another image {_both(lines['false'])}; another image above the "
        f"threshold {_both(lines['false above threshold'])}.\n"
    )
    text += [f"- {'met' if kept else '**missed**'}: {what}" for what, kept in lines["asked for"].items()]
    return [*text, ""]


def _row(name: str, facts: dict[str, Any]) -> str:
    passive, active = facts["passive"], facts["active"]
    stages = [f"{passive[stage]['recall_at_1']:.2f} → {active[stage]['recall_at_1']:.2f}" for stage in STAGES]
    cell = f"{passive['same cell']:.2f} → {active['same cell']:.2f}" if "same cell" in passive else "-"
    exact = f"{passive['exact']['recall_at_1']:.2f}"
    return f"| {name} | {' | '.join(stages)} | {exact} | {passive['cosine']:.2f} → {active['cosine']:.2f} | {cell} |"


def _both(line: dict[str, float]) -> str:
    return f"{line['passive']:.3f} → {line['active']:.3f}"
