"""Fits of how costs grow are of one version on one processor; sizes of others are shown, not fitted."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.scale import growth, paper


def part(cpu_s: float, *, cpu: str | None = "new", at: str = "2026-02-01") -> dict[str, Any]:
    facts = {"rows": 1, "disk_bytes_a_row": 1.0, "build": {"cpu_s": cpu_s, "truth_cpu_s": cpu_s / 2}}
    return {"one": facts if cpu is None else facts | {"by": {"cpu": cpu, "commit": "abc", "at": at}}}


def test_sizes_of_another_processor_are_left_out_of_the_fits() -> None:
    sizes = {
        "1000": part(1.0),
        "10000": part(10.0),
        "100000": part(9000.0, cpu="old", at="2026-01-01"),
        "1000000": part(9000.0, cpu=None),
    }
    found = growth.fits(sizes)["build, CPU seconds"]

    assert (found.exponent, found.sizes) == (pytest.approx(1.0), 2)
    assert growth.fits(sizes)["build without exact truth, CPU seconds"].exponent == pytest.approx(1.0)


def test_without_a_version_all_sizes_are_fitted() -> None:
    sizes = {str(rows): part(rows**1.5, cpu=None) for rows in (100, 1000, 10_000)}
    found = growth.fits(sizes)["build, CPU seconds"]

    assert (found.exponent, found.low, found.high, found.sizes) == (1.5, 1.5, 1.5, 3)


def test_the_tables_name_the_version_of_each_size(tmp_path: Any) -> None:
    machine = {"cpu": "new", "cores": 2, "memory_gib": 24, "os": "Linux"}
    path = tmp_path / "scale.md"
    paper.write(path, {"sizes": {"1000": part(1.0)}, "machine": machine, "command": "x"})

    assert "| measured by version | abc |" in path.read_text()
