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
    texts = list_texts(given.data, given.wordnet, list_photos(given.data))
    counts = Counter(word for text in texts for word in words_of(text.text))
    data = pack(counts)
    path = VOCABULARIES / f"nano-{given.version}.u32"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    print(f"{path}: {len(counts):,} words of {len(texts):,} texts, {len(data):,} bytes")


if __name__ == "__main__":
    main()
