"""The command ``retrieve info``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrieval.cli.frame import Command, emit, shared
from retrieval.cli.reports import encoded_again, index_words, recall_words, shown, views_words
from retrieval.display import path_json
from retrieval.render import fields, json_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_POOR_FIT = 1.2


@click.command("info", cls=Command, example="retrieve info --index photos")
@shared
def info(*, index: Path | None, as_json: bool) -> None:
    """Say what a collection holds and how well it searches."""
    from retrieval.collection import open_collection

    with open_collection(index, allow_partial=True) as collection:  # it says itself which shards are missing
        facts = collection.info()
    emit(json_text(facts | path_json(facts["root"], "root")) if as_json else _text(facts))


def _text(facts: Mapping[str, Any]) -> str:
    """Describe a collection."""
    upgrade, sources = facts["upgrade"], _sources(facts["sources"])
    pairs = [
        ("images", f"{facts['images']:,}{'' if sources else ' in ' + shown(facts['root'])}"),
        (
            "collection",
            f"{shown(facts['index'])}, generation {facts['generation']}, format {facts['format']}",
        ),
        *sources,
        ("encoder", f"{facts['encoder']}, {facts['width']} wide"),
        ("index", index_words(facts)),
        ("recall@10", recall_words(facts)),
    ]
    if facts["views"]:
        pairs.append(("views", views_words(facts["views"], stored_dim=facts["stored_dim"])))
    pairs += [
        (
            "shards" if number == 0 else "",
            f"{shard['name']}: {shard['rows']:,} images{', missing' if shard['missing'] else ''}{_fit(facts, shard)}",
        )
        for number, shard in enumerate(facts.get("shards", ()))
    ]
    if facts["columns"]:
        pairs.append(("columns", ", ".join(f"{name} ({kind})" for name, kind in facts["columns"].items())))
    if upgrade:
        pairs += [(name, line) for name, line in zip(("upgrade", ""), _upgrade(upgrade), strict=True) if line]
    pairs += [
        ("activations" if number == 0 else "", _activation(run))
        for number, run in enumerate(facts["activations"])
    ]
    return fields(pairs)


def _fit(facts: Mapping[str, Any], shard: Mapping[str, Any]) -> str:
    """Say how well the shared training fits a shard: the recall that its own rows have, and how far these lie from their lists."""
    if facts["training"] is None or shard["recall_at_10"] is None:
        return ""
    recall, fit = f", recall@10 among them {shard['recall_at_10']:.3f}", shard["training_fit"]
    if fit is None:
        return recall
    far = "; train anew with build-index --retrain" if fit > _POOR_FIT else ""
    return f"{recall}, rows {fit:.2f} times as far from their lists as at training{far}"


def _sources(sources: list[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Name the sources, where there are others than a folder."""
    if [source["type"] for source in sources] in (["folder"], []):
        return []
    return [
        ("sources" if number == 0 else "", f"{shown(source['source'])} ({source['type']})")
        for number, source in enumerate(sources)
    ]


def _activation(run: Mapping[str, Any]) -> str:
    held = f"void: {run['void']}; activate the originals again" if run["void"] else "valid"
    return f"{run['images']:,} images on {str(run['at'])[:10]}, generation {run['generation']}: {held}"


def _upgrade(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Say in two lines how far the last upgrade has come, and how it was made."""
    share = f", {encoded_again(entry)}" if entry.get("state") in ("migrating", "reencoding") else ""
    how = [f"by {entry['method']}"] if entry.get("method") else []
    if entry.get("plan") == "map":
        how.append("compatible" if entry.get("compatible") else "not compatible")
    dates = [f"{key} {str(entry[key])[:10]}" for key in ("started", "finished") if entry.get(key)]
    return f"{entry.get('old')} → {entry.get('new')}, {entry.get('state')}{share}", ", ".join([*how, *dates])
