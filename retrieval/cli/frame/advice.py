"""Turn an error of the library into advice: which option or command cures it.

The library names what is wrong and which fact cures it, in Python's words between backticks: `prune=True`, `kind="ivfpq"`,
`build_index`. Only here do they become options and command lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from retrieval.errors import RetrievalError, UnknownWords

LARGER = "open_clip:ViT-B-32/laion2b_s34b_b79k"
MULTILINGUAL = "open_clip:xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k"

COMMANDS = {
    "activate": "retrieve activate",
    "add": "retrieve add",
    "backfill": "retrieve upgrade backfill",
    "build_index": "retrieve build-index",
    "audit": "retrieve audit",
    "calibrate_matches": "retrieve calibrate",
    "classify": "retrieve classify",
    "cluster": "retrieve cluster",
    "compare": "retrieve compare",
    "delete": "retrieve delete",
    "duplicates": "retrieve duplicates",
    "undo_moves": "retrieve duplicates --undo",
    "evaluate": "retrieve evaluate",
    "finish_upgrade": "retrieve upgrade finish",
    "installed_families": "retrieve encoders",
    "map_images": "retrieve map",
    "open": "retrieve query",
    "outliers": "retrieve outliers",
    "representatives": "retrieve representatives",
    "rollback": "retrieve rollback",
    "upgrade": "retrieve upgrade",
    "upsert": "retrieve add --upsert",
    "verify": "retrieve verify",
}
"""Functions of the library, and the commands that call them."""

OPTIONS = {
    "against", "allow_partial", "allow_private", "attacks", "attributes", "background", "checks", "cluster", "column", "copy_to", "device", "dims", "distractors", "drop_source", "encoder", "exclude", "follow_links", "force", "format", "glob",
    "from0", "ids", "ignore", "image_column", "include", "index", "keep", "key_column", "keys", "kind", "labels", "least", "max_pixels", "method", "min_psnr", "n_groups",
    "names", "neighbors", "out", "pairs", "port", "precision", "prune", "quality", "reference", "retrain", "root", "sample", "shard_rows", "shards", "splits", "strength", "targets", "text", "truncate_dim", "under", "vectors", "views", "where", "without_new",
}  # fmt: skip
"""Arguments of the library that are options, `follow_links=True` as ``--follow-links``."""

_OTHER_NAMES = {"k": "-k", "kinds": "--kind", "n": "-n"}
"""Others, which the command line calls otherwise."""

_CALL = re.compile(rf"`({'|'.join(COMMANDS)})(?:\(([^`]*)\))?`")
_OPTION = re.compile(
    rf"`({'|'.join(sorted({*OPTIONS, *_OTHER_NAMES}, key=len, reverse=True))})(?:=([^`]*))?`"
)
_ARGUMENT = re.compile(r"""(?:^|,\s*)(?:(\w+)=)?("[^"]*"|'[^']*'|[^,]*)""")


def advise(error: BaseException) -> str:
    """Return what to type, to be put behind the error's own message; empty where that says it all."""
    for kind, give in _ADVICE.items():
        if isinstance(error, kind):
            return give(error)
    return ""


def in_options(message: str) -> str:
    """Return a message of the library with Python's words between backticks as options and command lines."""
    return _OPTION.sub(lambda found: _option(found[1], found[2]), _CALL.sub(_command, message))


def larger_encoder(words: tuple[str, ...]) -> str:
    """Return the spec of an encoder that is likely to know some words: one of many languages where they are not Latin."""
    letters = [character for word in words for character in word if character.isalpha()]
    return MULTILINGUAL if any(ord(letter) > 0x24F for letter in letters) else LARGER


def _command(found: re.Match[str]) -> str:
    words = [COMMANDS[found[1]]]
    for name, value in _ARGUMENT.findall(found[2] or ""):
        if name and name != "count":  # how many is the argument itself
            words.append(_option(name, value))
        elif value:
            words.append(_value(value))
    if found[1] == "backfill" and len(words) == 1:
        words.append("all")
    return f"`{' '.join(words)}`"


def _option(name: str, value: str | None) -> str:
    option = _OTHER_NAMES.get(name) or f"--{name.replace('_', '-')}"
    if value == "False":
        return f"--no-{option.removeprefix('--')}"
    return option if value in (None, "", "True") else f"{option} {_value(str(value))}"


def _value(text: str) -> str:
    """Write a value as a shell takes it."""
    import shlex

    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return shlex.quote(text[1:-1]) if quoted else text


def _of_unknown_words(error: Any) -> str:
    spec = larger_encoder(error.words)
    return f"retrieve upgrade --encoder {spec}, or for a new collection retrieve build-index FOLDER --encoder {spec}"


_ADVICE: dict[type[RetrievalError], Callable[[Any], str]] = {
    UnknownWords: _of_unknown_words,
}
