"""Find the tables in a folder: parquet and Arrow files, and what Hugging Face's `datasets` saves."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from retrieval.errors import OptionError
from retrieval.sources.tables.table_files import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPLITS = "dataset_dict.json"
_STATE = "state.json"


def is_table_name(name: str) -> bool:
    """Say whether a path or URL is named like a table."""
    return name.partition("?")[0].lower().endswith(SUFFIXES)


def is_saved_dataset(folder: str | os.PathLike[str]) -> bool:
    """Say whether `datasets` saved a folder with `save_to_disk`."""
    has = {
        name for name in (_SPLITS, _STATE, "dataset_info.json") if os.path.isfile(os.path.join(folder, name))
    }
    return _SPLITS in has or {_STATE, "dataset_info.json"} <= has


def tables_in(folder: str | os.PathLike[str]) -> list[str]:
    """Return the tables below a folder as paths relative to it, ``/`` between their parts.

    Of what `save_to_disk` wrote, the files that it names, in its order; else all tables, sorted by path, without hidden files
    and folders.

    Raises:
        OptionError: the folder cannot be listed, or is a saved dataset that is damaged.
    """
    root = os.fspath(folder)
    if os.path.isfile(os.path.join(root, _SPLITS)):
        splits = _json(os.path.join(root, _SPLITS)).get("splits", [])
        return [
            f"{split}/{name}" for split in map(_inside, splits) for name in _saved(os.path.join(root, split))
        ]
    if is_saved_dataset(root):
        return _saved(root)
    return sorted(_walk(root))


def _saved(folder: str) -> list[str]:
    files = _json(os.path.join(folder, _STATE)).get("_data_files", [])
    return [_inside(file["filename"]) for file in files]


def _inside(name: object) -> str:
    """Refuse a name that leads out of the folder: the dataset may be a stranger's."""
    text = str(name)
    if os.path.isabs(text) or os.pardir in text.split("/"):
        raise OptionError(f"{text!r} lies outside the dataset that names it; save the dataset again")
    return text


def _json(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            facts = json.load(file)
    except (OSError, ValueError) as error:
        raise OptionError(f"{path} cannot be read ({error}); save the dataset again") from error
    if not isinstance(facts, dict):
        raise OptionError(f"{path} is damaged; save the dataset again")
    return facts


def _walk(root: str) -> Iterator[str]:
    def failed(error: OSError) -> None:
        raise OptionError(
            f"{error.filename} cannot be listed ({error.strerror}); check its permissions"
        ) from error

    for folder, folders, names in os.walk(root, onerror=failed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = os.path.relpath(folder, root).replace(os.sep, "/")
        for name in names:
            if is_table_name(name) and not name.startswith("."):
                yield name if below == os.curdir else f"{below}/{name}"
