"""Say for each view which images it belongs to: a file of the images' generation, and its reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from indexes.files import limit_reached, parsed, write_array
from indexes.generation import check_file, generation_path, read_manifest
from indexes.layout import VIEWS
from indexes.store import VectorStore, content_of, key_and_stamp
from retrieval.errors import StoreCorrupt
from retrieval.views.view_rows import CONTENT_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from indexes.generation import Manifest
    from indexes.vectors import Bitmap, Ids

__all__ = ["TABLE", "ImageTable", "ViewsFile", "published_views"]

TABLE: Final = "views.npy"

_FORMAT: Final = 1
_HEAD: Final = 5  # format, generation of the views, rows that were asked for views, views, further rows


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTable:
    """Which rows of images the views belong to.

    Attributes:
        generation: of the views that it was made for.
        covered: rows of images below this one have their views, or cannot have any.
        images: ``(v,)`` the first live row with a view's content, -1 where there is none any more.
        others: ``(m, 2)`` further live rows with the content of a first one, as pairs of that and this, ascending.
    """

    generation: int
    covered: int
    images: Ids
    others: NDArray[np.int64]

    @classmethod
    def of(cls, store: VectorStore, views: VectorStore, *, generation: int, covered: int) -> ImageTable:
        """Compare the contents of all rows with those of all views."""
        rows, contents = _contents(store)
        first, places = np.unique(contents, return_index=True)  # ids ascend, so the first row has the least
        images = np.full(views.count, -1, dtype=np.int64)  # (v,)
        ids, wanted = _viewed(views)
        images[ids] = _looked_up(wanted, first, rows[places])
        owners = _looked_up(contents, first, rows[places])  # (n,): the first row of each row's content
        further = (owners != rows) & np.isin(owners, images)
        others = np.stack([owners[further], rows[further]], axis=1)
        order = np.lexsort((others[:, 1], others[:, 0]))
        return cls(generation=generation, covered=covered, images=images, others=others[order])

    @classmethod
    def read(cls, directory: Path, manifest: Manifest) -> ImageTable | None:
        """Return the table of a published generation; None where it has none.

        Raises:
            StoreCorrupt: the file is missing or not what was published.
            SystemLimit: no more open files or memory.
        """
        if TABLE not in manifest.files:
            return None
        check_file(directory, manifest, TABLE)
        path = generation_path(directory, manifest.generation) / TABLE
        try:
            whole = parsed(lambda: np.load(path, allow_pickle=False, mmap_mode="r"))
            form, generation, covered, count, further = whole[:_HEAD].tolist()
            if form != _FORMAT or len(whole) != _HEAD + count + 2 * further:
                raise ValueError(f"format {form}, {len(whole)} numbers")
        except (
            Exception
        ) as error:  # numpy reads the header by Python's tokenizer and parser, which raise their own
            raise limit_reached(error, path) or StoreCorrupt(
                f"{path}: not readable ({error}); run `build_index` on the folder: it publishes a new one"
            ) from error
        images = np.asarray(whole[_HEAD : _HEAD + count])
        others = np.asarray(whole[_HEAD + count :]).reshape(further, 2)
        return cls(generation=generation, covered=covered, images=images, others=others)

    def write(self, path: Path) -> None:
        """Write what `read` reads."""
        head = [_FORMAT, self.generation, self.covered, len(self.images), len(self.others)]
        with path.open("wb") as file:
            write_array(file, np.concatenate([np.array(head, np.int64), self.images, self.others.ravel()]))

    def rows_of(self, image: int) -> list[int]:
        """Return the rows with the content of a first row: this one and the further ones."""
        start, stop = np.searchsorted(self.others[:, 0], [image, image + 1])
        return [image, *self.others[start:stop, 1].tolist()]

    def views_of(self, rows: Bitmap, count: int) -> Bitmap:
        """Return which of the first ``count`` views belong to any of some rows, ``(count,)``.

        Args:
            rows: flags of the images' rows.
        """
        if len(self.others):
            rows = rows.copy()
            rows[self.others[rows[self.others[:, 1]], 0]] = True
        known = self.images[:count]
        kept = np.zeros(count, dtype=np.bool_)
        if not len(rows):
            return kept
        kept[: len(known)] = rows[known] & (known >= 0)
        return kept


class ViewsFile:
    """The table of views, as `indexes.derivation.DerivedFile` has it; nothing is written where there are no views.

    Args:
        covered: rows of images below this one were asked for views; None for what the table before says.
    """

    def __init__(self, covered: int | None = None) -> None:
        self._covered = covered

    def write(self, prepared: Path, *, home: Path, store: VectorStore, before: Manifest | None) -> None:
        """Write `TABLE` for all views that are published."""
        views = published_views(home)
        if views is None:
            return
        with VectorStore.open(home / VIEWS, dim=views.space.dim, count=views.count) as rows:
            table = ImageTable.of(
                store, rows, generation=views.generation, covered=self._now_covered(home, before)
            )
        table.write(prepared / TABLE)

    def is_current(self, home: Path, *, store: VectorStore, before: Manifest) -> bool:  # noqa: ARG002 - of the protocol
        """Say whether a generation has the table of the views that are published now."""
        views = published_views(home)
        if views is None or TABLE not in before.files:
            return views is None and TABLE not in before.files
        try:
            table = ImageTable.read(home, before)
        except StoreCorrupt:
            return False
        known = table is not None and table.generation == views.generation
        return known and self._covered in (None, table.covered if table is not None else None)

    def _now_covered(self, home: Path, before: Manifest | None) -> int:
        if self._covered is not None:
            return self._covered
        try:
            table = None if before is None else ImageTable.read(home, before)
        except StoreCorrupt:  # then every row is looked at again
            return 0
        return 0 if table is None else table.covered


def published_views(home: Path) -> Manifest | None:
    """Return the manifest of a collection's views; None where it has none, or keeps none any more."""
    try:
        return read_manifest(home / VIEWS) if read_manifest(home).views else None
    except FileNotFoundError:
        return None


def _contents(store: VectorStore) -> tuple[Ids, NDArray[np.bytes_]]:
    """Return the ids ``(n,)`` and content hashes ``(n,)`` of all live rows that have one."""
    ids: list[Ids] = []
    contents: list[bytes] = []
    for some, records in store.packed():
        found = [content_of(data) for data in records]
        ids.append(some[[len(content) > 0 for content in found]])
        contents += [content for content in found if content]
    return np.concatenate([np.empty(0, np.int64), *ids]), _hashes(contents)


def _viewed(views: VectorStore) -> tuple[Ids, NDArray[np.bytes_]]:
    """Return the ids ``(v,)`` of all live views and the content hashes of their images."""
    ids: list[Ids] = []
    contents: list[bytes] = []
    for some, records in views.packed():
        ids.append(some)
        contents += [key_and_stamp(data)[0][:CONTENT_BYTES] for data in records]
    return np.concatenate([np.empty(0, np.int64), *ids]), _hashes(contents)


def _hashes(contents: list[bytes]) -> NDArray[np.bytes_]:
    return np.frombuffer(b"".join(contents), dtype=f"S{CONTENT_BYTES}")


def _looked_up(wanted: NDArray[np.bytes_], known: NDArray[np.bytes_], rows: Ids) -> Ids:
    """Return the row of each wanted hash, -1 for unknown ones; ``known`` ascends, ``rows`` are theirs."""
    if not len(known):
        return np.full(len(wanted), -1, dtype=np.int64)
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[places] == wanted, rows[places], -1)
