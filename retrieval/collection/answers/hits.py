"""Define `Hits`: the answer to a query, a list of `Hit` with what there is to say about all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Never, Self, overload

import numpy as np

from retrieval.collection.answers.hit import Hit
from retrieval.collection.relevance import likely
from retrieval.errors import MissingExtra
from retrieval.hints import attribute_of

if TYPE_CHECKING:
    import os
    from pathlib import Path
    from typing import SupportsIndex

    import pandas as pd

COLUMNS = ("rank", "score", "path", "id", "n_duplicates", "duplicates")
"""What a table of hits always has."""


class Hits(list[Hit]):
    """The answer to a query: a list of `Hit`, best first.

    A slice is `Hits` again and tells the same of the query; ``hits + others`` is a plain list, since there is no one query.

    Attributes:
        query: what was asked, in one line.
        searched: how many rows could have been found: those of the collection, or those that the filters allow.
        unknown_words: words of the query that the encoder has never learned; they were hardly taken into account.
        read_as: misspelt words of the query, and what they were read as; words between double quotes are taken as they are written.
        checked: with `verify`: how many hits were compared with the picture that was asked with; None otherwise.
        missing: names of the shards that were not searched; only with `allow_partial` there are any.
        error: why there is no answer, in a batch of which other queries were answered; whatever uses such an answer raises
            it. None otherwise.
    """

    query: str
    searched: int
    unknown_words: tuple[str, ...]
    read_as: Mapping[str, str]
    checked: int | None
    missing: tuple[str, ...] = ()

    error: Exception | None = None

    def __init__(
        self,
        hits: Iterable[Hit] = (),
        *,
        query: str = "",
        searched: int = 0,
        unknown_words: tuple[str, ...] = (),
        read_as: Mapping[str, str] | None = None,
        checked: int | None = None,
    ) -> None:
        super().__init__(hits)
        self.query, self.searched, self.unknown_words = query, searched, unknown_words
        self.read_as, self.checked = dict(read_as or {}), checked

    @staticmethod
    def failed(error: Exception, *, query: str = "") -> Hits:
        """Return what stands for the answer to a query that has none: using it raises `error`."""
        return _Failed(error, query=query)

    @property
    def likely(self) -> int | None:
        """How many of the first hits are likely what was asked; behind these comes likely nothing. None where `match` is not known.

        A hit that was verified, or that names have found, is what was asked.
        """
        if all(hit.match is None for hit in self):
            return None
        return likely(np.array([1.0 if _is_named(hit) else hit.match or 0.0 for hit in self]))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return each hit as a dictionary of its own."""
        return [dict(hit) for hit in self]

    def to_pandas(self) -> pd.DataFrame:
        """Return a table with a row a hit.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return frame(self.to_dicts(), COLUMNS, what="Hits.to_pandas()")

    def copy_to(self, directory: str | os.PathLike[str]) -> list[Path]:
        """Copy the image of each hit into a folder, from whatever source it comes; no file is ever written over.

        Args:
            directory: made if it is missing. Images of equal names get the names of their folders, too.
        Returns:
            the paths of the copies, in the order of the hits. One that lay there with the same bytes is left as it is.
        Raises:
            ImagesSkipped: images could not be read; the message names them. The others were copied.
            OptionError: `directory` is no folder.
            StoreFull, StoreReadOnly: the folder cannot be written.
        """
        from retrieval.collection.answers.hit_files import copy_hits

        return copy_hits(self, directory)

    def link_to(self, directory: str | os.PathLike[str]) -> list[Path]:
        """Make a symbolic link to the image of each hit in a folder; takes and returns what `copy_to` does.

        Raises:
            OptionError: an image is no file of its own, such as one in an archive. Nothing was written.
            StoreFull, StoreReadOnly: the folder cannot be written.
        """
        from retrieval.collection.answers.hit_files import link_hits

        return link_hits(self, directory)

    def _repr_html_(self) -> str | None:
        """Show the images in a notebook."""
        from retrieval.collection.answers.galleries import hits_html

        return hits_html(self)

    if not TYPE_CHECKING:  # a type checker would take every name for one that exists
        __getattr__ = attribute_of

    @overload
    def __getitem__(self, place: SupportsIndex) -> Hit: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: SupportsIndex | slice) -> Hit | Self:
        if isinstance(place, str):
            raise TypeError(
                f"hits are a list; `[hit[{place!r}] for hit in hits]` or `hits.to_pandas()[{place!r}]` is one fact of all"
            )
        found = super().__getitem__(place)
        return found if isinstance(found, Hit) else self._like(found)

    def copy(self) -> Self:
        """Return the same answer as a list of its own."""
        return self._like(self)

    def __copy__(self) -> Self:
        return self.copy()

    def _like(self, hits: Iterable[Hit]) -> Self:
        like = type(self)(
            hits,
            query=self.query,
            searched=self.searched,
            unknown_words=self.unknown_words,
            read_as=self.read_as,
            checked=self.checked,
        )
        like.missing = self.missing
        return like


def _is_named(hit: Hit) -> bool:
    return bool(hit.verified) or not set(hit.matched) <= {"image"}


class _Failed(Hits):
    """The place of an answer that there is none of: its facts can be read, whatever else is asked raises the error."""

    error: Exception

    def __init__(self, error: Exception, *, query: str = "") -> None:
        super().__init__(query=query)
        self.error = error

    def __repr__(self) -> str:
        return f"<Hits: {type(self.error).__name__}: {self.error}>"

    def _repr_html_(self) -> str | None:
        from retrieval.display import notebook

        return notebook.shown(lambda: notebook.sentence(f"{type(self.error).__name__}: {self.error}"))

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return _failed, (self.error, self.query)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def _raise(self, *_arguments: Any, **_options: Any) -> Never:
        raise self.error

    __iter__ = __len__ = __getitem__ = __contains__ = __reversed__ = _raise
    __setitem__ = __delitem__ = __add__ = __radd__ = __iadd__ = __mul__ = __rmul__ = _raise
    __lt__ = __le__ = __gt__ = __ge__ = _raise
    copy_to = link_to = _raise
    append = extend = insert = remove = pop = clear = index = count = sort = reverse = copy = _raise

    def __eq__(self, other: object) -> bool:
        return self is other  # and no list, not even an empty one

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


def _failed(error: Exception, query: str) -> Hits:
    return Hits.failed(error, query=query)


def frame(rows: list[dict[str, Any]], columns: Iterable[str], *, what: str) -> pd.DataFrame:
    """Make a table of rows; `columns` are there even if no row is.

    Raises:
        MissingExtra: pandas is not installed; the message begins with `what`.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtra(f"{what} needs pandas, which is not installed: pip install pandas") from error
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(columns))
