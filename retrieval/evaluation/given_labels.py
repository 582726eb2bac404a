"""Read the labels that are known: from a CSV file, a mapping, or a column of the collection."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retrieval.display import escape
from retrieval.errors import OptionError
from retrieval.sources import csv_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from indexes.vectors import Ids
    from retrieval.collection import Collection

LabelsLike = str | os.PathLike[str] | Mapping[str, str]
"""A CSV file with the header ``file,label``, or labels by key."""

_BLOCK = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLabels:
    """Rows whose label is known.

    Attributes:
        ids: ``(m,)`` rows, ascending, each once.
        codes: ``(m,)`` places in `names`.
        names: the labels, sorted.
        unknown: how many of the files with a label are not in the collection.
        first_unknown: the first of these files, as it is written; empty where there is none.
    """

    ids: Ids
    codes: NDArray[np.int64]
    names: tuple[str, ...]
    unknown: int = 0
    first_unknown: str = ""

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many rows have each label, ``(n,)``."""
        return np.bincount(self.codes, minlength=len(self.names)).astype(np.int64)


def known_labels(
    collection: Collection, labels: LabelsLike | None = None, *, column: str | None = None
) -> KnownLabels:
    """Return the labelled rows of a collection.

    Args:
        collection: an open one.
        labels: a CSV file with the header ``file,label``, paths relative to the root; or a mapping of keys to labels. Empty
            labels count as none.
        column: the column that has the labels; give this or `labels`.
    Raises:
        OptionError: both are given or none, the file cannot be read, no row has a label, all rows have the same one, or a
            row has two.
    """
    if (labels is None) == (column is None):
        raise OptionError("give the labels as `labels` (a CSV file or a mapping) or as `column`, one of both")
    named = _of_column(collection, column) if labels is None else _of_files(collection, labels)
    what = f"the column {column!r}" if labels is None else _name(labels)
    label_of: dict[int, str] = {}
    unknown, first_unknown = 0, ""
    for file, number, label in named:
        if number is None:
            unknown += 1
            first_unknown = first_unknown or file
        elif label_of.setdefault(number, label) != label:
            raise OptionError(
                f"{what}: {escape(collection.key_of(number))} has two labels, "
                f"{escape(label_of[number])} and {escape(label)}; give it one"
            )
    if not label_of:
        cure = _absent(unknown, first_unknown) if labels is not None else _columns(collection)
        raise OptionError(f"{what} gives no image of {collection.root} a label{cure}")
    ids = np.array(sorted(label_of), dtype=np.int64)
    names, codes = np.unique(np.array([label_of[number] for number in ids.tolist()]), return_inverse=True)
    if len(names) < 2:
        raise OptionError(
            f"{what}: all images have the label {escape(str(names[0]))}; give two labels at least"
        )
    return KnownLabels(
        ids=ids,
        codes=codes.astype(np.int64),
        names=tuple(names.tolist()),
        unknown=unknown,
        first_unknown=first_unknown,
    )


def _absent(unknown: int, first: str) -> str:
    if not unknown:
        return ""
    if any("\udc80" <= letter <= "\udcff" for letter in first):
        return f"; there is no {escape(first)} there, and the list is not UTF-8: save it so"
    return f"; there is no {escape(first)} there: paths are relative to this folder, in UTF-8"


def _columns(collection: Collection) -> str:
    """Name the columns that the first rows have."""
    some = collection.row_ids()[:_BLOCK]
    names = sorted({name for columns in collection.columns(some) for name in columns})
    return f"; there are the columns {escape(', '.join(names))}" if names else "; there are no columns"


def _name(labels: LabelsLike) -> str:
    return "the mapping of labels" if isinstance(labels, Mapping) else os.fspath(labels)


def _of_files(collection: Collection, labels: LabelsLike) -> Iterator[tuple[str, int | None, str]]:
    """Yield each labelled file with its row, None for a file that is not in the collection, and its label."""
    lines: Iterable[tuple[str, str]] = (
        labels.items() if isinstance(labels, Mapping) else csv_lines(labels, "label")
    )
    for file, label in lines:
        if not label:
            continue
        key = os.path.normpath(file).replace(os.sep, "/")
        yield file, (collection.id_of(key) if key in collection else None), label


def _of_column(collection: Collection, column: str | None) -> Iterator[tuple[str, int | None, str]]:
    live = collection.row_ids()
    for start in range(0, len(live), _BLOCK):
        some = live[start : start + _BLOCK]
        for number, columns in zip(some.tolist(), collection.columns(some), strict=True):
            label = columns.get(str(column))
            if label is not None and label != "":
                yield "", number, str(label)
