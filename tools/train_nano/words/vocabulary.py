"""Write the words that nano's training texts hold: ``python -m tools.train_nano.words.vocabulary --data DIR``.

Two files lie beside the encoder: `retrieval/encoders/vocabularies/nano-2.u32` tells which words of a query nano has never seen, and
`nano-2.txt` which words misspelt ones are corrected to. Misspelt words of the texts are in neither (`tools.train_nano.words.slips`); words of WordNet
that look as if they were formed from learned ones are, so that they are not taken for slips. Write them anew whenever the training texts change.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from retrieval.encoders.families.nano import VOCABULARIES
from retrieval.encoders.families.nano_text import words_of
from retrieval.encoders.spelling import Spelling
from retrieval.encoders.vocabulary import Vocabulary, pack
from tools.train_nano.inputs.corpus import list_texts
from tools.train_nano.inputs.data import list_photos
from tools.train_nano.words.slips import dictionary, slips, suspects

LEAST = 5  # times that a word was seen to which others are corrected
FEWEST_LETTERS = 3
OF_NAME = 20  # what one name of a thing counts for: people look for things


def main() -> None:
    """Count the words of the training texts and write them."""
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
    names = Counter(word for text in texts if text.kind == "name" for word in words_of(text.text))
    words = dictionary(wordnet)
    suspected = suspects(texts, words)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, "words")
        sure = often_said(Counter({word: n for word, n in counts.items() if word not in suspected}), names)
        draft.write_text("\n".join(sure), encoding="ascii")
        wrong = slips(suspected, counts, Spelling(draft))
        for word in wrong:
            del counts[word]
        draft.write_bytes(pack(counts))
        learned = Vocabulary(draft, words_of)
        formed = [word for word in words if learned.has(word) and not learned.holds(word)]
        del learned  # its file is mapped
    path = VOCABULARIES / f"nano-{version}.u32"
    path.parent.mkdir(exist_ok=True)
    hashes = pack(counts | Counter(formed))
    path.write_bytes(hashes)
    often = often_said(counts, names)
    path.with_suffix(".txt").write_text("\n".join(often), encoding="ascii")
    return (
        f"{path}: {len(counts):,} words of {len(texts):,} texts without {len(wrong):,} misspelt ones, {len(formed):,} formed from them, "
        f"{len(hashes):,} bytes; misspelt ones become one of {len(often):,}"
    )


def often_said(counts: Mapping[str, int], names: Mapping[str, int]) -> list[str]:
    """Return the words of the letters a to z that were seen often enough, by falling frequency; those in names of things count as if seen more often."""
    found = [
        word
        for word, count in counts.items()
        if count >= LEAST and len(word) >= FEWEST_LETTERS and re.fullmatch("[a-z]+", word)
    ]
    return sorted(found, key=lambda word: (-counts[word] - OF_NAME * names.get(word, 0), word))


if __name__ == "__main__":
    main()
