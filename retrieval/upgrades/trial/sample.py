"""Draw and encode the sample that an upgrade is fitted and measured on."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from indexes.migration import KEPT
from indexes.store import CommitPace
from retrieval.embedding import embed
from retrieval.progress import Progress
from retrieval.sources.media import same_content

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from PIL import Image

    from indexes.migration import Staging
    from indexes.store import Record, VectorStore
    from indexes.vectors import Ids, Vectors
    from retrieval.encoders import Encoder
    from retrieval.progress import OnProgress
    from retrieval.sources import Source

SEED = 2_411
VIEWS = 3
_OTHERS = 10_000
_TIMED = 20  # images that tell how fast others will be encoded
_SIDE = 320  # pixels that a view keeps at most: what encoders of today read, and a little more


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Gallery rows whose files are there, by both encoders.

    Attributes:
        ids: ``(n,)`` row ids, in random order.
        old, new: ``(n, d_old)`` as stored and ``(n, d_new)`` unit rows.
        gone: files among those looked at that are missing or are not what was indexed.
        unreadable: files that could not be read.
        images_per_second: how fast they were read and encoded; None where they are fewer than `_TIMED`.
    """

    ids: Ids
    old: Vectors
    new: Vectors
    gone: int
    unreadable: int
    images_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """Old rows that the sample leaves out: with them a gallery is as full as the one that answers.

    Attributes:
        rows: ``(m, d_old)`` as stored.
        labels: ``(m,)`` numbers; None without labels.
        share: of the collection's rows that the sample has.
    """

    rows: Vectors
    labels: NDArray[np.int64] | None
    share: float


@dataclass(frozen=True, slots=True)
class _Item:
    """A row, its file, and which view of it: 0 for the file as it is."""

    record: Record
    source: Source
    view: int = 0


def draw(
    store: VectorStore, source: Source, *, size: int, first: Iterable[int] = (), but: Sequence[int] | Ids = ()
) -> tuple[list[tuple[Record, Source]], int]:
    """Pick rows at random whose files are there and of the size that was indexed.

    Args:
        store: the collection's.
        source: where the images lie.
        size: rows wanted.
        first: ids to take before others.
        but: ids to take in no case.
    Returns:
        records with where they lie, and how many files among those looked at were gone or changed.
    """
    draws = np.random.default_rng(SEED)
    alive = ~store.tombstones()
    alive[np.asarray(but, dtype=np.int64)] = False
    wished = np.array([number for number in first if alive[number]], dtype=np.int64)
    alive[wished] = False
    order = np.concatenate([draws.permutation(wished), draws.permutation(np.flatnonzero(alive))])
    found: list[tuple[Record, Source]] = []
    contents: set[bytes] = set()
    gone = 0
    for start in range(0, len(order), size):
        for record in store.records(order[start : start + size]):
            if not source.holds(record.key):
                gone += 1
            elif not record.content or record.content not in contents:  # an exact copy would be right as well
                contents.add(record.content)
                found.append((record, source))
            if len(found) == size:
                return found, gone
    return found, gone


def encode_sample(
    drawn: Sequence[tuple[Record, Source]],
    store: VectorStore,
    staging: Staging,
    encoder: Encoder,
    *,
    gone: int,
    progress: OnProgress | None = None,
) -> Sample:
    """Encode drawn rows with the new encoder; each is kept in the staging store, so that no image is encoded twice.

    Args:
        drawn: what `draw` returned.
        store: the collection's.
        staging: where the new rows are kept; what it has already is taken from there.
        encoder: the new one.
        gone: what `draw` counted.
    """
    items = [_Item(record, source) for record, source in drawn]
    rest = [item for item in items if not staging.holds(item.record)]
    unreadable, done = 0, len(items) - len(rest)
    pace = CommitPace(staging.store)
    began = time.monotonic()
    for batch in embed(rest, encoder, open_image=_read):
        for item, content, row in zip(batch.items, batch.contents, batch.vectors, strict=True):
            same = same_content(item.record.key, item.record.content, content)
            if same is None:
                gone += 1  # other bytes than were indexed
                continue
            staging.append([item.record.id], row[np.newaxis], [same], state=KEPT)
        unreadable += len(batch.failed)
        done += len(batch.items) + len(batch.failed) + len(batch.reused)
        pace.commit_if_due()
        if progress is not None:
            progress(Progress(phase="sample", done=done, total=len(items)))
    staging.commit()
    taken = time.monotonic() - began
    ids, new = [], []
    for item in items:
        row_ = staging.row(item.record.id) if staging.holds(item.record) else None
        if row_ is not None:
            ids.append(item.record.id)
            new.append(row_[0].astype(np.float32))
    numbers = np.array(ids, dtype=np.int64)
    return Sample(
        ids=numbers,
        old=_rows(store, numbers),
        new=np.stack(new) if new else np.empty((0, encoder.space.dim), dtype=np.float32),
        gone=gone,
        unreadable=unreadable,
        images_per_second=len(rest) / taken if len(rest) >= _TIMED and taken > 0 else _rate(items, encoder),
    )


def others_of(store: VectorStore, taken: Sample, label_of: Mapping[int, int], *, but: Ids) -> Others:
    """Read old rows that are not of the sample, `_OTHERS` at most; with labels, those that have one.

    Args:
        store: the collection's.
        taken: the sample.
        label_of: the label of each row that has one; empty to measure by views.
        but: ids that the old encoder has not seen.
    """
    wanted = ~store.tombstones()
    share = len(taken.ids) / max(int(np.count_nonzero(wanted)), 1)
    wanted[but] = wanted[taken.ids] = False
    if label_of:
        named = np.zeros(len(wanted), dtype=np.bool_)
        named[list(label_of)] = True
        wanted &= named
    ids = np.flatnonzero(wanted)
    ids = np.sort(np.random.default_rng(SEED).permutation(ids)[:_OTHERS])
    labels = np.array([label_of[number] for number in ids.tolist()], dtype=np.int64) if label_of else None
    return Others(rows=_rows(store, ids), labels=labels, share=share)


def _rate(items: Sequence[_Item], encoder: Encoder) -> float | None:
    """Encode some of the images once more, and return how many a second: an earlier run had encoded nearly all of them."""
    if len(items) < _TIMED:
        return None
    seen, began = 0, time.monotonic()
    for start in range(0, len(items), _TIMED):
        seen += sum(
            len(batch.items) for batch in embed(items[start : start + _TIMED], encoder, open_image=_read)
        )
        if seen >= _TIMED:  # some may not be readable
            return seen / max(time.monotonic() - began, 1e-9)
    return None


def _rows(store: VectorStore, ids: Ids) -> Vectors:
    """Return stored rows in the order of ``ids``, ``(n, d)`` float32, reading each block once."""
    rows = np.empty((len(ids), store.dim), dtype=np.float32)
    for place in np.argsort(ids, kind="stable"):
        number = int(ids[place])
        rows[place] = store.rows(number, number + 1)[0]
    return rows


def encode_views(
    drawn: Sequence[tuple[Record, Source]],
    encoders: Sequence[Encoder],
    *,
    progress: OnProgress | None = None,
) -> tuple[Ids, list[Vectors]]:
    """Encode altered views of images with each encoder: queries whose answer is known.

    Args:
        drawn: the images.
        encoders: each sees the same views.
    Returns:
        ``(q,)`` the row id that each view was made from, and for each encoder ``(q, d)`` unit rows.
    """
    return _encode_items(
        [_Item(record, source, view) for record, source in drawn for view in range(1, VIEWS + 1)],
        encoders,
        progress=progress,
    )


def encode_a_view(
    drawn: Sequence[tuple[Record, Source]], encoder: Encoder, *, progress: OnProgress | None = None
) -> tuple[Ids, Vectors]:
    """Encode one altered view of each image, in turn a weaker and a stronger one; what `encode_views` returns for one encoder."""
    items = [_Item(record, source, 1 + number % VIEWS) for number, (record, source) in enumerate(drawn)]
    ids, (rows,) = _encode_items(items, [encoder], progress=progress)
    return ids, rows


def _encode_items(
    items: Sequence[_Item], encoders: Sequence[Encoder], *, progress: OnProgress | None
) -> tuple[Ids, list[Vectors]]:
    made: dict[tuple[int, int], bytes] = {}

    def open_view(item: _Item) -> bytes:
        name = (item.record.id, item.view)
        found = made.get(name)
        if found is None:
            found = view_of(_read(item), seed=name)
            if len(encoders) > 1:  # the next one reads it too
                made[name] = found
        return found

    seen: list[dict[tuple[int, int], Vectors]] = []
    done = 0
    for encoder in encoders:
        rows: dict[tuple[int, int], Vectors] = {}
        for batch in embed(items, encoder, open_image=open_view):
            for item, row in zip(batch.items, batch.vectors, strict=True):
                rows[item.record.id, item.view] = row
            done += len(batch.items) + len(batch.failed) + len(batch.reused)
            if progress is not None:
                progress(Progress(phase="views", done=done, total=len(items) * len(encoders)))
        seen.append(rows)
    names = [
        (item.record.id, item.view)
        for item in items
        if all((item.record.id, item.view) in rows for rows in seen)
    ]
    ids = np.array([number for number, _ in names], dtype=np.int64)
    vectors = [
        np.stack([rows[name] for name in names])
        if names
        else np.empty((0, encoder.space.dim), dtype=np.float32)
        for encoder, rows in zip(encoders, seen, strict=True)
    ]
    return ids, vectors


def view_of(data: bytes, *, seed: tuple[int, int]) -> bytes:
    """Return a JPEG of an altered view: cropped, perhaps flipped, other light; the later views more strongly.

    Args:
        data: an image file's bytes.
        seed: row id and number of the view, from 1; the same ones give the same view.
    Raises:
        ImageError: the file is no readable image.
    """
    from PIL import Image, ImageEnhance, ImageFilter, ImageOps

    from retrieval.sources.decoding import decode

    image = decode(data, decode_size=_SIDE)
    image.thumbnail((2 * _SIDE, 2 * _SIDE))
    draws = np.random.default_rng([SEED, *seed])
    strength = seed[1]
    area = float(draws.uniform(*((0.55, 0.85), (0.35, 0.6), (0.2, 0.4))[min(strength, VIEWS) - 1]))
    image = _crop(image, area, draws)
    if draws.random() < 0.5:
        image = ImageOps.mirror(image)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(float(draws.uniform(1 - 0.2 * strength, 1 + 0.2 * strength)))
    if strength >= 2 and draws.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(float(draws.uniform(0.3, 1.2))))
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(draws.integers(50, 95)))
    return file.getvalue()


def _crop(image: Image.Image, area: float, draws: np.random.Generator) -> Image.Image:
    shape = float(np.exp(draws.uniform(np.log(3 / 4), np.log(4 / 3))))
    width = max(1, min(image.width, round(image.width * (area * shape) ** 0.5)))
    height = max(1, min(image.height, round(image.height * (area / shape) ** 0.5)))
    left = int(draws.integers(0, image.width - width + 1))
    top = int(draws.integers(0, image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def _read(item: _Item) -> bytes:
    return item.source.read(item.record)
