"""What cannot be or cannot fit is refused, and nothing changes."""

from __future__ import annotations

import pytest

from indexes.derivation import build_plan
from indexes.errors import OptionError
from indexes.generation.manifest import read_manifest
from tests.indexes.derivation.published import check
from tests.indexes.search.test_generation import build, fill, grow


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "nonsense"},
        {"kind": ""},
        {"kind": "IDMap,Flat"},
        {"kind": "ivfrabitq", "dim": 7},
        {"kind": "ivfrabitq", "dim": 64},
        {"kind": "flat", "dim": 7},
        {"dim": 0},
        {"dim": "wide"},
        {"recall": 0.0},
        {"recall": 1.1},
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(tmp_path, options):
    fill(tmp_path, 0, 1000)
    first = build(tmp_path, kind="ivfrabitq")
    with pytest.raises(OptionError) as caught:
        build(tmp_path, **options)

    assert "\n" not in str(caught.value)
    assert read_manifest(tmp_path) == first
    check(tmp_path, first)


def test_a_build_that_cannot_fit_is_refused_before_it_starts(tmp_path, monkeypatch):
    fill(tmp_path, 0, 1000)
    monkeypatch.setattr(build_plan, "available_memory", lambda: 100_000)
    with pytest.raises(OptionError, match="GiB are free"):
        build(tmp_path, kind="ivfrabitq")
    with pytest.raises(OptionError, match="GiB are free"):
        build_plan.plan(10**9, 512, kind="ivfrabitq")

    assert build(tmp_path, kind="flat").index.kind == "flat"  # which needs none


def test_a_container_gives_files_up_before_it_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(build_plan, "CONTROL_GROUP", tmp_path)
    (tmp_path / "memory.max").write_text("9000000\n")
    (tmp_path / "memory.current").write_text("8900000\n")
    assert build_plan.available_memory() == 100_000
    (tmp_path / "memory.stat").write_text("anon 900000\ninactive_file 5000000\nactive_file 3000000\n")

    assert build_plan.available_memory() == 8_100_000


def test_a_full_memory_does_not_keep_a_tail_out(tmp_path, monkeypatch):
    fill(tmp_path, 0, 1000)
    build(tmp_path, kind="ivfrabitq")
    grow(tmp_path, 1000, 1010)
    monkeypatch.setattr(build_plan, "available_memory", lambda: 1)

    assert build(tmp_path).count == 1010


def test_a_kind_that_faiss_does_not_know_is_refused_with_those_that_have_a_name():
    with pytest.raises(OptionError, match=r"'ivfsqq'.*; use auto, flat, .* or another FAISS factory string"):
        build_plan.plan(5000, 64, kind="ivfsqq")
