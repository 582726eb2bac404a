"""The Hypothesis vocabulary that the tests share."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from indexes.generation import Funnel, Inverted, Request, Source
from indexes.generation.manifest import Exact, FileInfo, Manifest
from indexes.vectors.arrays import Vectors
from indexes.vectors.space import Space

keys = st.one_of(st.sampled_from([b"a", b"b", b"c/d.jpg", b"e"]), st.binary(min_size=1, max_size=600))
"""Keys of rows: a few that come again, any bytes, and some longer than LMDB's own keys may be."""

contents = st.one_of(
    st.just(b""), st.sampled_from([b"x" * 16, b"y" * 16]), st.binary(min_size=16, max_size=16)
)
"""Content hashes: none, a few that come again, any."""

stamps = st.binary(max_size=64)
"""Stamps: opaque bytes."""

sources = st.sampled_from([0, 0, 1, 255])
"""Numbers of sources, often that of the first one."""

columns = st.one_of(st.just(b""), st.binary(max_size=40), st.binary(min_size=3000, max_size=5000))
"""Columns of rows: none, short ones, and some that fill pages of their own."""

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
"""Any text that JSON in UTF-8 can hold."""

fractions = st.floats(0, 1)


def unit(rows: int, dim: int, *, seed: int) -> Vectors:
    """Return seeded random unit rows ``(rows, dim)`` float32."""
    drawn = np.random.default_rng(seed).standard_normal((rows, dim))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def unit_vectors(dim: int, *, max_rows: int = 5) -> st.SearchStrategy[Vectors]:
    """Draw one to ``max_rows`` unit rows of width ``dim``."""
    return st.builds(unit, st.integers(1, max_rows), st.just(dim), seed=st.integers(0, 2**32 - 1))


@st.composite
def spaces(draw: Any) -> Space:
    """Draw a space, nested or not."""
    dim = draw(st.integers(1, 4096))
    nesting = draw(st.lists(st.integers(1, dim), max_size=3))
    return Space(name=draw(names), dim=dim, fingerprint=draw(names), nesting=tuple(nesting))


file_infos = st.builds(
    FileInfo, bytes=st.integers(0, 2**50), sha256=st.text("0123456789abcdef", min_size=64, max_size=64)
)


@st.composite
def manifests(draw: Any) -> Manifest:
    """Draw a manifest that could have been published."""
    count = draw(st.integers(0, 10**12))
    optional = st.none() | st.integers(0, 10**6)
    common: dict[str, Any] = {
        "dim": st.integers(1, 4096),
        "base_rows": st.integers(0, count),
        "recall_target": fractions,
        "recall_reason": st.none() | names,
    }
    measured: dict[str, Any] = {
        "factory": names,
        "shortlist": optional,
        "recall_at_10": st.none() | fractions,
        "recall_sample": st.integers(0, 10**6),
        "recall_at_10_text": st.none() | fractions,
        "bytes_per_vector": st.floats(0, 1e6),
        "trained_rows": st.integers(0, 10**9),
        "transform": st.none() | st.sampled_from(["pca", "learned"]),
        "file": st.none() | file_infos,
    }
    index = draw(
        st.builds(Exact, **common)
        | st.builds(Funnel, **common, **measured)
        | st.builds(
            Inverted,
            kind=st.sampled_from(["ivfpq", "ivfrabitq", "factory"]),
            nprobe=optional,
            **common,
            **measured,
        )
    )
    options = st.dictionaries(names, st.booleans() | st.lists(names, max_size=2), max_size=2)
    source = st.builds(Source, type=st.just("folder") | names, path=st.none() | names, options=options)
    numbers = draw(st.sampled_from([(0,), (1,), (0, 1), (255, 0)]))
    request = st.builds(
        Request,
        kind=names,
        dim=st.none() | st.just("auto") | st.integers(1, 4096),
        recall=fractions,
        device=names,
        chosen_for=optional,
    )
    notes = st.lists(st.dictionaries(names, names | st.integers() | st.none(), max_size=3), max_size=3)
    manifest = Manifest(
        space=draw(spaces()),
        encoder=draw(st.none() | names),
        count=count,
        live=draw(st.integers(0, count)),
        generation=draw(st.integers(1, 9999)),
        index=index,
        sources=tuple(replace(draw(source), number=number) for number in numbers),
        request=draw(st.none() | request),
        upgrades=tuple(draw(notes)),
        activations=tuple(draw(notes)),
        files=draw(st.dictionaries(st.sampled_from(["index.faiss", "report.json", "live.npz"]), file_infos)),
    )
    return replace(manifest, format=manifest.layout)


def name_of(value: object) -> str:
    """Name a parameter of a test as ``repr`` does, without its place in memory: every worker collects the same names."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
