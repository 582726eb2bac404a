"""The towers of torch models, where they run fastest: ONNX Runtime on CPUs, half precision on cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.encoders.towers.card_towers import CardTowers
    from retrieval.encoders.towers.cpu_towers import CpuTowers
    from retrieval.encoders.towers.graph_cache import folder_of, read_facts
    from retrieval.encoders.towers.tower import Tower

__all__ = ["CardTowers", "CpuTowers", "Tower", "folder_of", "read_facts"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "card_towers": ("CardTowers",),
            "cpu_towers": ("CpuTowers",),
            "graph_cache": ("folder_of", "read_facts"),
            "tower": ("Tower",),
        },
    )
