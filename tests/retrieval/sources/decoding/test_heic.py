"""HEIC with its decoder, and without."""

import struct
import sys

import pytest

from retrieval.errors import ImageError
from retrieval.sources.decoding.decoder import decode
from tests.retrieval import pictures
from tests.retrieval.pictures import scene
from tests.retrieval.sources.differences import difference

HEIC_HEADER = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic"


def test_heic_without_its_decoder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)

    with pytest.raises(ImageError, match=r"pip install .*\[heif\]") as caught:
        decode(HEIC_HEADER + bytes(100), name="a.heic")
    assert caught.value.reason == "needs-heif"


def test_heic_is_read_upright() -> None:
    pytest.importorskip("pi_heif", reason="the extra `heif` is not installed")

    assert difference(decode(pictures.heic(), decode_size=16), scene(48, 32)) < 6


def test_broken_heic_is_unreadable() -> None:
    pytest.importorskip("pi_heif", reason="the extra `heif` is not installed")

    with pytest.raises(ImageError) as caught:
        decode(HEIC_HEADER + bytes(100))
    assert caught.value.reason in {"unreadable", "truncated"}
