"""One module for each kind of encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.encoders.families.nano import NanoEncoder as NanoEncoder

lazy(__name__)
