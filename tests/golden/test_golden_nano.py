"""Every shipped version of nano gives what it gave when it was released: collections of it stay searchable for ever."""

from __future__ import annotations

import binascii
import json
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoders import load_encoder, vectors_of_probes
from retrieval.encoders.families.nano import FAMILY

KNOWN = json.loads((Path(__file__).parent / "nano.json").read_text(encoding="utf-8"))


def directions(recorded: list[str]) -> np.ndarray:
    """Read what `vectors_of_probes` gives: ``(n, d)`` unit rows."""
    rows = np.stack([np.frombuffer(binascii.a2b_base64(row), np.int8) for row in recorded]).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_every_version_is_recorded() -> None:
    assert list(KNOWN) == FAMILY.models()


@pytest.mark.parametrize("model", FAMILY.models())
def test_a_version_gives_what_it_gave(model: str) -> None:
    encoder = load_encoder(model, device="cpu")
    found, before = vectors_of_probes(encoder), KNOWN[model]["probes"]

    assert encoder.space.to_json() == KNOWN[model]["space"]
    for kind in ("image", "text"):
        cosines = (directions(found[kind]) * directions(before[kind])).sum(1)
        assert cosines.min() > 0.999  # usually 1.0000; other processors round differently
