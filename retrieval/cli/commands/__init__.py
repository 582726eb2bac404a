"""The commands, a module each, loaded when one is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    import click

    from retrieval.cli.commands.long_question import asked as asked
    from retrieval.cli.commands.printed_answers import (
        picked_output as picked_output,
        print_found as print_found,
        print_picked as print_picked,
    )

SUMMARIES = {
    "demo": "Index sample photographs, answer queries, write a page.",
    "build-index": "Index the images of each SOURCE; again: only what changed.",
    "add": "Add vectors to a collection, row by row.",
    "delete": "Delete rows that were added by hand.",
    "export": "Write a collection's vectors and keys to files.",
    "query": "Search by words, by image, or by several at once.",
    "serve": "Give other people and programs your collections, over HTTP.",
    "info": "Say what a collection holds and how well it searches.",
    "verify": "Check every file of a collection; exit 1 if one is damaged.",
    "evaluate": "Measure recall, latency and labelled quality.",
    "calibrate": "Learn from labels how probable it is that a hit is what was asked.",
    "upgrade": "Move a collection to a better encoder without starting again.",
    "rollback": "Return to the encoder before the last upgrade.",
    "duplicates": "Find images that are there twice, and move doubles away.",
    "cluster": "Divide a collection into groups of images that are alike.",
    "map": "Make a map on which images that are alike lie together.",
    "representatives": "List the images that stand for all others.",
    "outliers": "List the images that are least like the others.",
    "audit": "Say what state a collection is in.",
    "classify": "Guess labels from labelled images, or find wrong ones.",
    "compare": "Compare two encoders over the same images, before you choose one.",
    "activate": "Make images easier to find again, before they are published.",
    "encoders": "List the encoders that are or could be installed.",
}
"""In the order in which one meets them: the first line of each, so that the page of all of them loads none.

Each has a module of its name, which defines a function of its name.
"""
_ROOMS = {
    "collections": ("build-index", "add", "delete", "export", "info", "verify", "upgrade", "rollback"),
    "curation": (
        "duplicates",
        "cluster",
        "map",
        "representatives",
        "outliers",
        "audit",
        "classify",
        "compare",
    ),
    "search": ("demo", "query", "serve", "evaluate", "calibrate", "activate", "encoders"),
}


class Commands(MutableMapping[str, "click.Command"]):
    """The commands by name; each module is imported when its command is looked up, so that a query loads one of them."""

    def __init__(self) -> None:
        self._loaded: dict[str, click.Command | None] = dict.fromkeys(SUMMARIES)

    def __getitem__(self, name: str) -> click.Command:
        command = self._loaded[name]
        if command is None:
            own = name.replace("-", "_")
            room = next(room for room, names in _ROOMS.items() if name in names)
            command = getattr(importlib.import_module(f"{__name__}.{room}.{own}"), own)
            self._loaded[name] = command
        return command

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._loaded

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded)

    def __len__(self) -> int:
        return len(self._loaded)


lazy(__name__)
