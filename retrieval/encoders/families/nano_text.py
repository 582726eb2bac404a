"""The text tower of `nano`: hashed words and character n-grams, in numpy.

A text is a bag of tokens: its words and its pairs of neighbouring words. A word's vector is the sum of its rows in a
word table and the mean of the rows of its character n-grams (3 to 5, Bojanowski et al., 2017, arXiv 1607.04606), so a
misspelt or unseen word lands near its relatives. Tables are hashed (two rows a word, so that collisions differ) and
stored in 8 bits with one scale a row; rows are read from the mapped file as they are needed.

Some words for kinds of things (fish, vehicle) have a place of their own, where their members lie: it takes the place of the sum
for a text of such a word alone, with its article or in the plural.

A text's last component is the same for all: it makes a photograph's last component count, which says how near the
photograph lies to whatever is asked (`retrieval.encoders.families.nano_torch.Querybank`).
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import unicodedata
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORD_ROWS = 16384
GRAM_ROWS = 36864
WIDTH = 128
HIDDEN = 512
MAX_WORDS = 64
KINDS = "kinds"  # the tensor of words for kinds, one a line, and what begins the names of their rows
ARTICLES = ("a", "an", "the")
_DTYPES = {"F16": np.float16, "F32": np.float32, "I8": np.int8}

Token = tuple[tuple[int, int], tuple[int, ...]]


def words_of(text: str) -> list[str]:
    """Split a text into lower-case words without accents, at most the first `MAX_WORDS`."""
    plain = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(c for c in plain if not unicodedata.combining(c)).replace("'", "").replace("’", "")
    return re.findall(r"[^\W_]+", plain)[:MAX_WORDS]


@functools.lru_cache(maxsize=65536)
def word_token(word: str) -> Token:
    """Give a word's two rows of the word table and the rows of its n-grams."""
    marked = f"<{word}>"
    grams = tuple(
        zlib.crc32(marked[i : i + n].encode()) % GRAM_ROWS
        for n in (3, 4, 5)
        for i in range(len(marked) - n + 1)
    )
    return _word_rows(word), grams


def tokens_of(text: str) -> list[Token]:
    """Give the tokens of a text: its words, then its pairs of neighbours (which have no n-grams)."""
    words = words_of(text)
    pairs = [f"{a} {b}" for a, b in itertools.pairwise(words)]
    return [word_token(word) for word in words] + [(_word_rows(pair), ()) for pair in pairs]


def _word_rows(word: str) -> tuple[int, int]:
    data = word.encode()
    return zlib.crc32(data, 1) % WORD_ROWS, zlib.crc32(data, 2) % WORD_ROWS


def map_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Map a safetensors file: read-only arrays by name, in the stored types; nothing but the header is read.

    Raises:
        ValueError: the file is cut short.
    """
    data = np.memmap(path, np.uint8, mode="r")
    if len(data) < 8 or len(data) < 8 + int.from_bytes(data[:8].tobytes(), "little"):
        raise ValueError(
            f"{path} is no whole safetensors file ({len(data)} bytes); install the package again"
        )
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:start].tobytes())
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        low, high = entry["data_offsets"]
        if start + high > len(data):
            raise ValueError(f"{path} is cut short ({len(data)} bytes); install the package again")
        tensors[name] = data[start + low : start + high].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class TextTower:
    """The text tower over one mapped weight file.

    Args:
        path: the file.
        last: what every text's last component is before rows are normalised; the larger, the more a photograph's last one counts.
        kinds: read words for kinds from their table; without it they are sums like all others.
    """

    def __init__(self, path: Path, *, last: float = 1.0, kinds: bool = True) -> None:
        self._last = last
        tensors = map_tensors(path)
        self._words, self._word_scale = tensors["words"], tensors["words.scale"]
        self._grams, self._gram_scale = tensors["grams"], tensors["grams.scale"]
        self._word_weight, self._gram_weight = tensors["words.weight"], tensors["grams.weight"]
        self._first, self._first_bias = _float(tensors["first.weight"]), _float(tensors["first.bias"])
        self._second, self._second_bias = _float(tensors["second.weight"]), _float(tensors["second.bias"])
        self._skip = _float(tensors["skip.weight"])
        # Earlier versions have no words for kinds.
        listed = tensors[KINDS].tobytes().decode().split("\n") if kinds and KINDS in tensors else []
        self._kinds = {words: row for row, words in enumerate(listed)}
        none: NDArray[Any] = np.empty(0, np.float16)
        self._kind_rows = tensors.get(f"{KINDS}.rows", none)
        self._kind_scale = tensors.get(f"{KINDS}.scale", none)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts: ``(t, d)`` float32 unit rows, in order; a text without a word gives the mean direction."""
        pooled = np.stack([self._pool(tokens_of(text)) for text in texts])  # (t, 128)
        hidden = np.maximum(pooled @ self._first.T + self._first_bias, 0)  # (t, 512)
        out = hidden @ self._second.T + self._second_bias + pooled @ self._skip.T  # (t, d - 1)
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
        for place, text in zip(out, texts, strict=True):
            if (row := self._kind(text)) is not None:
                place[:] = self._kind_rows[row] * np.float32(self._kind_scale[row])
        rows = np.pad(out, ((0, 0), (0, 1)), constant_values=self._last)  # (t, d)
        rows = rows / np.sqrt(1 + self._last**2)
        return np.asarray(rows, np.float32)

    def _kind(self, text: str) -> int | None:
        """Give the row of a text that is a word for a kind, with an article or in the plural; None for any other text."""
        if not self._kinds:
            return None
        words = words_of(text)
        said = " ".join(words[1:] if len(words) > 1 and words[0] in ARTICLES else words)
        return self._kinds.get(said, self._kinds.get(said.removesuffix("s")))

    def _pool(self, tokens: list[Token]) -> NDArray[np.float32]:
        if not tokens:
            return np.zeros(self._words.shape[1], np.float32)
        rows = np.array([rows for rows, _ in tokens])  # (n, 2)
        scale = self._word_scale[rows].astype(np.float32)[:, :, None]
        vectors = (self._words[rows] * scale).sum(1)  # (n, 128)
        logits = self._word_weight[rows].astype(np.float32).sum(1)  # (n,)
        counts = [len(grams) for _, grams in tokens if grams]  # words come first, and every word has n-grams
        if counts:
            grams = np.fromiter((gram for _, grams in tokens for gram in grams), np.int64, sum(counts))
            starts = np.cumsum([0, *counts[:-1]])
            size = np.array(counts, np.float32)
            parts = self._grams[grams] * self._gram_scale[grams].astype(np.float32)[:, None]
            vectors[: len(counts)] += np.add.reduceat(parts, starts) / size[:, None]
            logits[: len(counts)] += (
                np.add.reduceat(self._gram_weight[grams].astype(np.float32), starts) / size
            )
        weights = np.logaddexp(0, logits) + np.float32(1e-3)  # softplus: always positive
        pooled: NDArray[np.float32] = (weights @ vectors / weights.sum()).astype(np.float32)
        return pooled


def _float(array: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(array, np.float32)
