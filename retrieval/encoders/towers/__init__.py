"""The towers of torch models, where they run fastest: ONNX Runtime on CPUs, half precision on cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.encoders.towers.card_towers import CardTowers as CardTowers
    from retrieval.encoders.towers.cpu_towers import CpuTowers as CpuTowers
    from retrieval.encoders.towers.graph_cache import folder_of as folder_of, read_facts as read_facts
    from retrieval.encoders.towers.tower import Tower as Tower

lazy(__name__)
