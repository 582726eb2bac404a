"""Take new images into the store: recognised by content, or decoded and encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.ingestion.intake.intake import Intake as Intake

lazy(__name__)
