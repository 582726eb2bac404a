"""Losses and fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.encoders.training.learned_rotation import fit_prefix_rotation as fit_prefix_rotation

lazy(__name__)
