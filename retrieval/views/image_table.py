"""Say for each view which images it belongs to: a file of the images' generation, and its reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from indexes.files import limit_reached, parsed, write_array
from indexes.generation import check_file, generation_path, read_manifest
from indexes.layout import VIEW_TABLE as TABLE, VIEWS
from indexes.store import VectorStore, content_of, key_and_stamp
from retrieval.errors import StoreCorrupt
from retrieval.views.view_rows import CONTENT_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from indexes.generation import Manifest
    from indexes.vectors import Bitmap, Ids

_FORMAT: Final = 1
_HEAD: Final = 6  # format, generation of the views, rows that were asked for views, rows, views, further rows

_AT_ONCE: Final = 4096  # records read in one snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTable:
    """Which rows of images the views belong to.

    Attributes:
        generation: of the views that it was made for.
        covered: rows of images below this one have their views, or cannot have any.
        rows: how many rows of images there were.
        images: ``(v,)`` the first live row with a view's content, -1 where there is none any more.
        others: ``(m, 2)`` further live rows with the content of a first one, as pairs of that and this, ascending.
    """

    generation: int
    covered: int
    rows: int
    images: Ids
    others: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        store: VectorStore,
        views: VectorStore,
        *,
        generation: int,
        covered: int,
        before: ImageTable | None = None,
    ) -> ImageTable:
        """Compare the contents of rows with those of views.

        Args:
            store: of the images.
            views: theirs.
            generation, covered: of the table.
            before: an earlier one: then only what came and went since is looked at.
        """
        if before is None or before.rows > store.count or len(before.images) > views.count:
            images, others = _whole(store, views)
        else:
            images, others = _followed(before, store, views)
        return cls(generation=generation, covered=covered, rows=store.count, images=images, others=others)

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
            form, generation, covered, rows, count, further = whole[:_HEAD].tolist()
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
        return cls(generation=generation, covered=covered, rows=rows, images=images, others=others)

    def write(self, path: Path) -> None:
        """Write what `read` reads."""
        head = [_FORMAT, self.generation, self.covered, self.rows, len(self.images), len(self.others)]
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
        known = _known(home, before)
        covered = self._covered if self._covered is not None else 0 if known is None else known.covered
        with VectorStore.open(home / VIEWS, dim=views.space.dim, count=views.count) as rows:
            table = ImageTable.of(store, rows, generation=views.generation, covered=covered, before=known)
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


def published_views(home: Path) -> Manifest | None:
    """Return the manifest of a collection's views; None where it has none, or keeps none any more."""
    try:
        return read_manifest(home / VIEWS) if read_manifest(home).views else None
    except FileNotFoundError:
        return None


def _known(home: Path, before: Manifest | None) -> ImageTable | None:
    """Return the table of a published generation; None where there is none, or it is damaged: all is looked at again."""
    try:
        return None if before is None else ImageTable.read(home, before)
    except StoreCorrupt:
        return None


def _whole(store: VectorStore, views: VectorStore) -> tuple[Ids, NDArray[np.int64]]:
    """Return the images of all views, and the further ones, by comparing every content."""
    rows, contents = _contents(store)
    first, places = np.unique(contents, return_index=True)  # ids ascend, so the first row has the least
    images = np.full(views.count, -1, dtype=np.int64)  # (v,)
    ids, wanted = _viewed(views)
    images[ids] = _looked_up(wanted, first, rows[places])
    owners = _looked_up(contents, first, rows[places])  # (n,): the first row of each row's content
    further = (owners != rows) & np.isin(owners, images)
    return images, _ordered(np.stack([owners[further], rows[further]], axis=1))


def _followed(before: ImageTable, store: VectorStore, views: VectorStore) -> tuple[Ids, NDArray[np.int64]]:
    """Return the same from an earlier table, by what came and went since."""
    dead, count = store.tombstones(), len(before.images)
    images = np.full(views.count, -1, dtype=np.int64)
    images[:count] = before.images
    now = np.arange(store.count)  # what has become of each first row
    lost = np.unique(images[images >= 0][dead[images[images >= 0]]])
    for record in store.records(lost):
        now[record.id] = next(iter(store.find_content(record.content)), -1)
    images[:count] = np.where(images[:count] >= 0, now[images[:count]], -1)
    pairs = [np.stack([now[before.others[:, 0]], before.others[:, 1]], axis=1)]
    for start in range(count, views.count, _AT_ONCE):  # new views
        some = views.records(range(start, min(start + _AT_ONCE, views.count)))
        rows = store.find_contents({record.content for record in some})
        for record in some:
            found = rows.get(record.content, [])
            images[record.id] = found[0] if found else -1
            pairs += (
                [np.array([[found[0], row] for row in found[1:]], np.int64).reshape(-1, 2)] if found else []
            )
    for start in range(before.rows, store.count, _AT_ONCE):  # new rows, which may be copies of what has views
        news = [
            record
            for record in store.records(range(start, min(start + _AT_ONCE, store.count)))
            if record.content and not dead[record.id]
        ]
        viewed = views.find_contents({record.content for record in news})
        for record in news:
            own = viewed.get(record.content, [])
            if own and images[own[0]] < 0:
                images[own] = record.id
            elif own:
                pairs.append(np.array([[images[own[0]], record.id]]))
    images[views.tombstones()] = -1
    others = np.concatenate(pairs)
    kept = (others[:, 0] >= 0) & (others[:, 0] != others[:, 1]) & ~dead[others[:, 1]]
    return images, _ordered(others[kept & np.isin(others[:, 0], images)])


def _ordered(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return pairs, each once, ascending."""
    return np.unique(pairs, axis=0).reshape(-1, 2)


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
