"""Read the images of rows by threads, once, and keep their facts and features."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from indexes.engine import ThreadPool, allowed_cores
from retrieval.curation.duplicates.images.image_facts import ImageFacts, pixel_hash, read_facts
from retrieval.curation.duplicates.judgements import Judged
from retrieval.errors import ImageError, RetrievalError
from retrieval.progress import Progress
from retrieval.sources.decoding import content_hash, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from PIL.Image import Image

    from indexes.store import Record
    from retrieval.curation.duplicates.images.image_rows import ImageRows
    from retrieval.curation.duplicates.images.results import Results
    from retrieval.progress import OnProgress

_AT_ONCE: Final = 64
_HELD: Final = 512
"""Features that are held in memory, a quarter of a megabyte each."""


class Pictures:
    """The images of one or two collections, by number: the rows of the second stand behind those of the first.

    Args:
        galleries: the rows.
        results: what is known already.
        features: makes what is compared from an RGB image; None where pictures are not compared by their geometry.
    """

    def __init__(
        self, galleries: Sequence[ImageRows], results: Results, features: Callable[[Image], Any] | None
    ) -> None:
        self._galleries, self._results, self._make = galleries, results, features
        self._offset = galleries[0].count
        self._facts: dict[int, ImageFacts | None] = {}
        self._names: dict[int, bytes] = {}
        self._by_content: dict[bytes, int] = {}
        self._by_pixels: dict[bytes, int] = {}
        self._held: OrderedDict[int, Any] = OrderedDict()
        self.unread: list[int] = []

    def gallery(self, number: int) -> tuple[ImageRows, int]:
        """Return the collection of an image, and its row there."""
        if number < self._offset:
            return self._galleries[0], number
        return self._galleries[1], number - self._offset

    def record(self, number: int) -> Record:
        """Return the record of an image."""
        gallery, row = self.gallery(number)
        return gallery.record(row)

    def facts(self, number: int) -> ImageFacts | None:
        """Return the facts of an image that `read` was asked for; None where it cannot be read."""
        return self._facts.get(number)

    def facts_of(self, content: bytes) -> ImageFacts | None:
        """Return the facts of an image that was read under another row, by its content hash."""
        number = self._by_content.get(content)
        return None if number is None else self._facts[number]

    def name(self, number: int) -> bytes:
        """Return the content hash of an image that `read` was asked for."""
        return self._names.get(number, b"")

    def judged(self, number: int) -> Judged:
        """Return what decisions call an image."""
        record = self.record(number)
        return Judged(os.fsdecode(record.key), (record.content or self.name(number)).hex())

    def read(self, numbers: Iterable[int], *, progress: OnProgress | None = None) -> None:
        """Read the images that were not read before."""
        wanted = [number for number in numbers if number not in self._facts]
        with ThreadPool(max_workers=allowed_cores()) as pool:
            for start in range(0, len(wanted), _AT_ONCE):
                self._read(wanted[start : start + _AT_ONCE], pool)
                if progress is not None:
                    done = min(start + _AT_ONCE, len(wanted))
                    progress(Progress(phase="look", done=done, total=len(wanted), skipped=len(self.unread)))
        self._results.commit()

    def _read(self, numbers: list[int], pool: ThreadPool) -> None:
        records = {number: self.record(number) for number in numbers}
        known = self._results.images([record.content for record in records.values() if record.content])
        fresh: list[int] = []
        for number, record in records.items():
            kept = known.get(record.content)
            if kept is None:
                fresh.append(number)
                continue
            facts = self._facts[number] = ImageFacts.from_bytes(kept[0])
            self._names[number] = record.content
            if facts.pixels and kept[1]:
                self._by_pixels.setdefault(facts.pixels, number)
        made = pool.map(lambda number: self._look(number, records[number]), fresh)
        new: list[tuple[bytes, bytes, bytes]] = []
        for number, found in zip(fresh, made, strict=True):
            if found is None:
                self._facts[number] = None
                self.unread.append(number)
                continue
            content, facts, features = found
            self._facts[number], self._names[number] = facts, content
            if facts.pixels and features:
                self._by_pixels.setdefault(facts.pixels, number)
            new.append((content, facts.to_bytes(), features))
        self._results.put_images(new)
        self._by_content |= {self._names[number]: number for number in numbers if number in self._names}

    def _look(self, number: int, record: Record) -> tuple[bytes, ImageFacts, bytes] | None:
        gallery, _ = self.gallery(number)
        try:
            data = gallery.read(record)
            facts, made = read_facts(
                data, name=repr(record.key)[2:-1], known=self._same_pixels, use=self._make
            )
        except (ImageError, RetrievalError):
            return None
        content = record.content or content_hash(data)
        return content, facts, b"" if made is None else made.to_bytes()

    def _same_pixels(self, pixels: bytes) -> ImageFacts | None:
        """Return the facts of an image with the same pixels that was read before, so that thousands of blank pages are looked at once."""
        number = self._by_pixels.get(pixels)
        return None if number is None else self._facts[number]

    def features(self, numbers: Iterable[int]) -> list[Any]:
        """Return the features of images that `read` was asked for."""
        found = []
        for number in numbers:
            held = self._held.get(number)
            if held is None:
                held = self._unpacked(number)
                self._held[number] = held
                if len(self._held) > _HELD:
                    self._held.popitem(last=False)
            else:
                self._held.move_to_end(number)
            found.append(held)
        return found

    def _unpacked(self, number: int) -> Any:
        from retrieval.matching import Features

        facts, name = self._facts[number], self.name(number)
        data = self._results.images([name])[name][1]
        same = self._by_pixels.get(facts.pixels) if facts is not None else None
        if not data and same is not None:
            data = self._results.images([self.name(same)])[self.name(same)][1]
        if not data:  # the image whose pixels it has is there no more
            gallery, _ = self.gallery(number)
            _, made = read_facts(gallery.read(self.record(number)), name=str(number), use=self._make)
            return made
        return Features.from_bytes(data)

    def pixels(self, number: int) -> bytes:
        """Return the hash of the pixels of an image that `read` was asked for; it is decoded in full once more if need be."""
        facts = self._facts[number]
        if facts is None:
            return b""
        if not facts.pixels:
            gallery, _ = self.gallery(number)
            record = self.record(number)
            try:
                found = pixel_hash(decode(gallery.read(record), name=repr(record.key)[2:-1]))
            except RetrievalError:
                return b""
            from dataclasses import replace

            facts = self._facts[number] = replace(facts, pixels=found)
            name = self.name(number)
            kept = self._results.images([name]).get(name)
            self._results.put_images([(name, facts.to_bytes(), b"" if kept is None else kept[1])])
        return facts.pixels
