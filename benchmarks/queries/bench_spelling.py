"""Which misspelt words does nano read rightly, which right words does it change, and what does that find?

    python benchmarks/queries/bench_spelling.py --data DATA --work RUN --misspelt FILE --names FILE --words FILE

``RUN`` has the photographs' vectors, as ``python -m tools.train_oca measure`` leaves them. ``--misspelt`` is a dictionary of misspelt words
(``written->meant`` a line, as codespell has it), ``--names`` and ``--words`` are words that must stay, one a line. Half of the first two was looked at
when the rules were chosen; the other half is measured, by the parity of each word's CRC-32.

What nano takes for learned is apart: ``seen`` are misspelt words that its training texts have, ``formed`` those that look as if they were formed from
learned words; names and words of either kind must stay.
"""

from __future__ import annotations

import argparse
import pickle
import random
import re
import time
import zlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.frame import save, watch
from retrieval.encoders import Vocabulary
from retrieval.encoders.families.nano import VOCABULARIES, NanoEncoder, open_nano
from retrieval.encoders.families.nano_text import words_of

DRAWN, SEED = 2000, 3
WORD = re.compile("[a-z]{4,}")


def main() -> None:
    """Measure, and keep the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("data", "work", "wordnet", "misspelt", "names", "words"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    nano = open_nano("2", threads=1)
    learned = Vocabulary(VOCABULARIES / "nano-2.u32", words_of)
    pairs = [line.split("->") for line in given.misspelt.read_text(encoding="utf-8").splitlines()]
    often = set(_lines(VOCABULARIES / "nano-2.txt"))
    held_out = {
        written: meant
        for written, line in pairs
        if (meant := line.split(",")[0].strip()) in often and _held_out(written) and WORD.fullmatch(written)
    }
    seen = {word for text in _texts(given.data, given.wordnet) for word in words_of(text.text)}
    strange = {written: meant for written, meant in held_out.items() if not learned.has(written)}
    kinds = {
        "seen": {written: meant for written, meant in held_out.items() if written in seen},
        "formed": {w: meant for w, meant in held_out.items() if w not in seen and learned.has(w)},
    }
    right = {
        kind: [word for word in _lines(path) if WORD.fullmatch(word) and (kind == "words" or _held_out(word))]
        for kind, path in (("names", given.names), ("words", given.words))
    }
    with watch() as load:
        asked = _some(strange)
        start = time.process_time()
        read = {written: nano.read_as(written)[0] for written in asked}
        seconds = time.process_time() - start
        known = {kind: _corrected(some, nano) for kind, some in kinds.items()}
        stay, changed = {}, {}
        for kind, some in right.items():
            for which in ("", "known_"):
                words = _some(word for word in some if bool(which) == (learned.has(word) or word in seen))
                changed[which + kind] = {w: meant for w in words if (meant := nano.read_as(w)[0]) != w}
                stay[which + kind] = len(words)
                stay[f"{which}{kind}_changed"] = len(changed[which + kind]) / len(words)
        found = _found(given.data, given.work, nano)
    save(
        "spelling", load=load, misspelt=len(asked), right=_share(read[word] == strange[word] for word in asked),
        wrong=_share(read[word] not in (word, strange[word]) for word in asked), milliseconds=1e3 * seconds / len(asked),
        known=known, **stay, changed=changed, first_five=found,
    )  # fmt: skip


def _corrected(misspelt: dict[str, str], nano: NanoEncoder) -> dict[str, Any]:
    """Give the shares of misspelt words that become the right one and a wrong one, and those of the second kind."""
    read = {written: nano.read_as(written)[0] for written in _some(misspelt)}
    wrong = {written: got for written, got in read.items() if got not in (written, misspelt[written])}
    right = _share(read[written] == misspelt[written] for written in read)
    return {"words": len(read), "right": right, "wrong": len(wrong) / len(read), "read_wrongly": wrong}


def _texts(data: Path, wordnet: Path) -> list[Any]:
    from tools.train_nano.inputs.corpus import list_texts
    from tools.train_nano.inputs.data import list_photos

    return list_texts(data, wordnet, list_photos(data))


def _found(data: Path, work: Path, nano: NanoEncoder) -> dict[str, Any]:
    """Measure what misspelt names of things find, and what sentences of photographs become."""
    from tools.train_nano.inputs.data import list_photos
    from tools.train_oca import measure

    exam = measure.set_exam(list_photos(data))
    kept = work / f"answers-{nano.space.fingerprint[:12]}.pkl"
    answers = measure.reworded(exam, pickle.loads(kept.read_bytes()), nano)  # noqa: S301 - this tool's own
    written = [said for _, _, said in measure.asked_otherwise(exam)]
    found: dict[str, Any] = {}
    for how, texts in (("as written", written), ("corrected", [nano.read_as(said)[0] for said in written])):
        found[how] = measure.spelling(exam, replace(answers, spelled=nano.encode_text(texts)))
    sentences = {said: read for said in exam.said for read in [nano.read_as(said)[1]] if read}
    return found | {"sentences": len(exam.said), "sentences_changed": sorted(sentences.values(), key=str)}


def _some(words: Iterable[str]) -> list[str]:
    known = sorted(words)
    return random.Random(SEED).sample(known, min(DRAWN, len(known)))


def _held_out(word: str) -> bool:
    return zlib.crc32(word.encode()) % 2 == 1


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _share(flags: Iterable[bool]) -> float:
    known = list(flags)
    return sum(known) / len(known)


if __name__ == "__main__":
    main()
