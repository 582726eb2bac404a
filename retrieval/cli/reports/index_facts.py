"""Say in words what an index is, how large, and what share of the nearest it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

KIB, MIB = 1 << 10, 1 << 20


def index_words(facts: Mapping[str, Any]) -> str:
    """Name the kind of index and its size."""
    if facts["factory"] is None:
        size = 2 * facts["stored_dim"] * facts["images"]
        return f"exact search, {size / 1e6:,.1f} MB" if size >= 1e5 else f"exact search, {size / 1e3:,.1f} kB"
    first = (
        ""
        if facts["truncate_dim"] == facts["stored_dim"]
        else f", first {facts['truncate_dim']} of {facts['stored_dim']} wide"
    )
    if facts["kind"] == "flat":
        return f"funnel, {bytes_words(facts['bytes_per_vector'])} a vector{first}"
    name = f" {facts['factory']}" if facts["factory"] and facts["factory"] != facts["kind"] else ""
    return f"{facts['kind']}{name}, {bytes_words(facts['bytes_per_vector'])} a vector{first}"


def recall_words(facts: Mapping[str, Any]) -> str:
    """Say what share of the nearest images is found."""
    reason = f" ({facts['recall_reason']})" if facts["recall_reason"] else ""
    if facts["recall_at_10"] is None:
        if facts["factory"] is None:
            return f"complete: every image is compared{reason}"
        return facts["recall_reason"] or "not measured: fewer than 100 rows"
    share = facts["recall_at_10"]
    words = (
        "" if facts["recall_at_10_text"] is None else f"; for words {_of_true(facts['recall_at_10_text'])}"
    )
    return (
        f"{number_words(share)}: finds {_of_true(share)} true nearest, measured on {facts['recall_sample']:,} stored images"
        f"{words}{reason}"
    )


def views_words(views: Mapping[str, Any], *, stored_dim: int) -> str:
    """Say how many parts of images have vectors of their own, and what their vectors take on disk."""
    size = 4 * stored_dim * views["count"]  # in the store, and once more to be mapped
    return f"{views['count']:,}, up to {views['per_image']} an image, {size / 1e6:,.1f} MB"


def _of_true(share: float) -> str:
    """Write a share as so many of a hundred, or of a thousand where a hundred would claim too much."""
    if round(100 * share) == 100 and share < 1:
        return f"{min(round(1000 * share), 999)} of 1,000"
    return f"{round(100 * share)} of 100"


def number_words(value: float | None) -> str:
    """Write a measured share."""
    return "not measured" if value is None else f"{value:.3f}"


def bytes_words(value: float) -> str:
    """Write a number of bytes."""
    if value >= MIB:
        return f"{value / MIB:.1f} MiB"
    return f"{value / KIB:.1f} KiB" if value >= 10 * KIB else f"{value:.0f} bytes"
