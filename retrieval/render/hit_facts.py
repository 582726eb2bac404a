"""Name what is printed of a hit, whatever object it is."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class HitLike(Protocol):
    """What is printed of a hit."""

    @property
    def rank(self) -> int:
        """Place in the list, from 1."""

    @property
    def score(self) -> float:
        """Cosine, higher is better; not a number where there is none."""

    @property
    def path(self) -> str:
        """Path relative to the collection's root; bytes that are not UTF-8 as surrogates."""

    @property
    def id(self) -> int:
        """Row of the store."""

    @property
    def n_duplicates(self) -> int:
        """Files with the same bytes that are folded into this hit."""

    @property
    def duplicates(self) -> Sequence[str]:
        """Paths of the first of them."""

    @property
    def origin(self) -> Any:
        """What reads and links the image, if it is not a file below the collection's root; None otherwise."""

    @property
    def matched(self) -> Sequence[str]:
        """What matched the words of the query; empty where names were not looked up."""

    @property
    def ranked_by(self) -> float | None:
        """What orders hits while the encoder changes; None otherwise."""

    @property
    def space(self) -> str | None:
        """The row's own space while the encoder changes; None otherwise."""

    @property
    def columns(self) -> Mapping[str, Any]:
        """What else is known of the image, by name."""

    @property
    def region(self) -> Sequence[float] | None:
        """The part of the picture that answered, as shares of it; None for the whole."""

    @property
    def match(self) -> float | None:
        """How probable it is that the image is what was asked; None where that is not known."""

    @property
    def verified(self) -> bool | None:
        """Whether it is the picture that was asked with; None where that was not looked at."""

    @property
    def relation(self) -> str | None:
        """What it is to that picture; None where that was not looked at."""

    @property
    def verified_probability(self) -> float | None:
        """How probable it is that both are the same picture."""

    @property
    def outline(self) -> Sequence[Sequence[float]] | None:
        """The corners of that picture in this one, as shares of its width and height."""
