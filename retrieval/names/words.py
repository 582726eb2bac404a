"""Split file names, captions and queries into words that can be compared: case, accents and plurals folded."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from urllib.parse import unquote

from retrieval.sources import has_image_suffix

_ACCENTS = re.compile("[\u0300-\u036f]")
_PICTURES = "\u231a-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
"""Emoji and signs that people put into the names of folders: each is a word."""

_PLAIN_RUN = re.compile(r"[^\W_]+")
"""Letters and digits with nothing between them."""

_PLAIN = re.compile("[a-z]+|[0-9]+")
_HAS_HUMP = re.compile("[a-z][A-Z]|[A-Z]{2}[a-z]")
_HAS_JOINT = re.compile("[a-z][0-9]|[0-9][a-z]")

_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1780-\u17ff"
"""Characters of writing that puts no spaces between words (Chinese, Japanese, Thai, Lao, Khmer): each is a word."""

_ASCII_PART = re.compile("[0-9]+|[^0-9]+")
_HUMP = re.compile(
    r"(?<=[a-z\u00df-\u00f6\u00f8-\u00ff])(?=[A-Z\u00c0-\u00d6\u00d8-\u00de])|(?<=[A-Z])(?=[A-Z][a-z])"
)
"""Between the parts of ``GrandPiano`` and ``HTMLPage``."""

_MOMENT = re.compile(r"#(?:t|page)=[0-9.]+\Z")
"""What follows a file's name in the key of a film's frame or a document's page."""

_FUNCTION_WORDS = frozenset(
    re.findall(
        "[a-z]+",
        """
        a an and are as at be by for from in into is it its of on onto or over that the there this to under up with
        das dem den der des die ein eine einem einen einer im mit und von zu
        au aux de del du el en et la las le les los un una une y
        """,
    )
)
"""Words that tell no image from another; as parts of file names they are rare, and would pass for names."""


@dataclass(frozen=True, slots=True)
class AskedWord:
    """One word of a query.

    Attributes:
        text: as it was written, without punctuation.
        ways: ways to spell it; each is words that must all be there.
    """

    text: str
    ways: tuple[tuple[str, ...], ...]


def _runs(text: str) -> list[str]:
    """Return letters and digits with nothing between them, and pictures, each alone."""
    return (_PLAIN_RUN if text.isascii() else _with_pictures()).findall(text)


# Of the two patterns for text that is not ASCII the one takes 20 ms, the other 10: as much as a tenth of a first query.
@cache
def _with_pictures() -> re.Pattern[str]:
    return re.compile(rf"[^\W_]+|[{_PICTURES}]")


@cache
def _part() -> re.Pattern[str]:
    return re.compile(rf"[{_IDEOGRAPHS}]|\d+|[^\d{_IDEOGRAPHS}]+")


def words_in(text: str) -> list[str]:
    """Return the words of a text in their order, folded; what is written together counts as parts and as a whole."""
    if text.isascii() and not _HAS_HUMP.search(text):  # the same as below, five times as fast
        plain = text.lower()
        found = list(map(_singular, _PLAIN.findall(plain)))
        if _HAS_JOINT.search(plain):
            found += [run for run in _PLAIN_RUN.findall(plain) if _HAS_JOINT.search(run)]
        return found
    found = []
    for run in _runs(_composed(text)):
        whole, parts = _split(run)
        found += parts
        if len(parts) > 1 and whole is not None:
            found.append(whole)
    return found


def words_in_path(key: bytes) -> list[str]:
    """Return the words of a row's key: its folders and its file name, without the suffix of an image."""
    text = _MOMENT.sub("", os.fsdecode(key))
    if "://" in text:
        text = unquote(text.partition("://")[2].partition("?")[0])
    if has_image_suffix(text):
        text = text[: text.rindex(".")]
    folder, _, name = text.rpartition("/")
    return [*_folder_words(folder), *words_in(name)]


@lru_cache(maxsize=4_096)
def _folder_words(folder: str) -> tuple[str, ...]:
    """Return the words of a folder's path, which many images share."""
    return tuple(words_in(folder))


def asked_words(text: str) -> list[AskedWord]:
    """Return the different words of a query that can name something; function words only where there are no others."""
    found: dict[tuple[tuple[str, ...], ...], AskedWord] = {}
    for run in _runs(_composed(text)):
        whole, parts = _split(run)
        ways = [tuple(parts)] if whole is None or len(parts) == 1 else [(whole,), tuple(parts)]
        found.setdefault(tuple(ways), AskedWord(run, tuple(ways)))
    telling = [word for word in found.values() if not _is_function_word(word.text)]
    return telling or list(found.values())


def _is_function_word(text: str) -> bool:
    return text.lower() in _FUNCTION_WORDS or (len(text) == 1 and text.isascii() and text.isalpha())


def _composed(text: str) -> str:
    """Return a text with each letter and its accents as one character, so that accents do not part words."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _split(run: str) -> tuple[str | None, list[str]]:
    """Return a run folded as a whole, and its parts; no whole for writing without spaces, whose runs are sentences."""
    if run.isascii():
        pieces = [piece for hump in _HUMP.split(run) for piece in _ASCII_PART.findall(hump)]
        return run.lower() if len(pieces) > 1 else _singular(run.lower()), [
            _singular(piece.lower()) for piece in pieces
        ]
    pieces = [piece for hump in _HUMP.split(run) for piece in _part().findall(hump)]
    parts = [_singular(_folded(piece)) for piece in pieces]
    spaceless = any(len(piece) == 1 and _is_ideograph(piece) for piece in pieces)
    return None if spaceless else _folded(run), parts


def _folded(text: str) -> str:
    return _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).casefold()


def _is_ideograph(character: str) -> bool:
    return re.match(f"[{_IDEOGRAPHS}]", character) is not None


def _singular(word: str) -> str:
    """Return an English word without its plural ending (Harman's S-stemmer); the same for words of other languages, if they end so."""
    if len(word) < 4 or not word.endswith("s"):
        return word
    if word.endswith("ies"):
        return word if word.endswith(("eies", "aies")) else f"{word[:-3]}y"
    if word.endswith("es"):
        return word if word.endswith(("aes", "ees", "oes")) else word[:-1]
    return word if word.endswith(("us", "ss")) else word[:-1]
