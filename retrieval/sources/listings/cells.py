"""Tell columns of numbers from columns of texts in a CSV file: a cell alone cannot say which it is of.

A column is of numbers if some cells are numbers and all others are empty or say that there is none (``nan``, ``NA``, ``inf``
…). ``007`` is no number but an identifier, so it makes its column one of texts, and ``186`` in it stays ``"186"``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_WHOLE: Final = re.compile(r"-?(?:0|[1-9]\d{0,14})")
"""Longer ones are identifiers: a number would lose their last digits."""

_POINT: Final = re.compile(r"-?(?:0|[1-9]\d{0,24})(?:\.\d{1,25}(?:[eE][+-]\d{1,3})?|[eE][+-]\d{1,3})")
"""With a point, or with an exponent as programs write it; ``12E3`` may be a shelf mark."""

_ZEROS: Final = re.compile(r"-?0\d+")

_MISSING: Final = frozenset(
    {"", "nan", "-nan", "na", "n/a", "#n/a", "null", "none", "inf", "+inf", "-inf", "infinity", "-infinity"}
)
"""What programs write where there is no number, in small letters. Infinities are no values of a column either."""


@dataclass(slots=True)
class Cells:
    """What the cells of one column of a file are.

    Attributes:
        title: of the column.
        numbers, words: how many cells are numbers, and how many are texts.
        gaps: how many say that there is no number; empty ones do not count.
        word, gap: line and text of the first one.
    """

    title: str
    numbers: int = 0
    words: int = 0
    gaps: int = 0
    word: tuple[int, str] = (0, "")
    gap: tuple[int, str] = (0, "")

    def count(self, number: int, text: str) -> None:
        """Count a cell, of line ``number``."""
        if not text:
            return
        plain = text.strip()
        if _WHOLE.fullmatch(plain) or _POINT.fullmatch(plain):
            self.numbers += 1
        elif plain.lower() not in _MISSING:
            self.words += 1
            self.word = self.word if self.words > 1 else (number, text)
        else:
            self.gaps += 1
            self.gap = self.gap if self.gaps > 1 else (number, text)

    @property
    def are_numbers(self) -> bool:
        """Whether the column is one of numbers."""
        return self.numbers > 0 and not self.words

    def value(self, text: str) -> str | int | float | None:
        """Return what a cell says: a number in a column of numbers, else its text; None where it says nothing."""
        if not text:
            return None
        if not self.are_numbers:
            return text
        plain = text.strip()
        if _WHOLE.fullmatch(plain):
            return int(plain)
        if _POINT.fullmatch(plain):
            return float(plain)
        return None if plain.lower() in _MISSING else text  # text where the file has changed meanwhile

    @property
    def surprise(self) -> str:
        """What whoever reads most of the column would not expect of it; empty if nothing."""
        if self.are_numbers and self.gaps:
            number, text = self.gap
            cells = "1 cell says" if self.gaps == 1 else f"{self.gaps:,} cells say"
            return (
                f"column {self.title} is of numbers; {cells} that there is none, such as {text!r:.40} in line {number:,}: "
                "such an image lacks the column"
            )
        if self.words and self.numbers >= self.words:
            number, text = self.word
            zeros = ", and a number would lose its zeros" if _ZEROS.fullmatch(text.strip()) else ""
            return (
                f"column {self.title} is text, though {self.numbers:,} of {self.numbers + self.words:,} cells are numbers: "
                f"line {number:,} has {text!r:.40}{zeros}"
            )
        return ""
