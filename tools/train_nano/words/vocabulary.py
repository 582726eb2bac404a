"""Write the words that nano's training texts hold: ``python -m tools.train_nano.words.vocabulary --data DIR``.

The file lies beside the encoder (`retrieval/encoders/vocabularies/nano-1.u32`) and tells which words of a query nano has
never seen. Write it anew whenever the training texts change.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from retrieval.encoders.families.nano import VOCABULARIES
from retrieval.encoders.families.nano_text import words_of
from retrieval.encoders.vocabulary import pack
from tools.train_nano.inputs.corpus import list_texts
from tools.train_nano.inputs.data import list_photos


def main() -> None:
    """Count the words of the training texts and write their hashes."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_nano.words.vocabulary", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="Debian's wordnet-base"
    )
    parser.add_argument("--version", default="1", help="of nano")
    given = parser.parse_args()
    print(write_vocabulary(given.data, given.wordnet, given.version))


def write_vocabulary(data: Path, wordnet: Path, version: str) -> str:
    """Write the words of a version's training texts into the package, and say how many there are."""
    texts = list_texts(data, wordnet, list_photos(data))
    counts = Counter(word for text in texts for word in words_of(text.text))
    hashes = pack(counts)
    path = VOCABULARIES / f"nano-{version}.u32"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(hashes)
    return f"{path}: {len(counts):,} words of {len(texts):,} texts, {len(hashes):,} bytes"


if __name__ == "__main__":
    main()
