"""Images made easier to find before they are published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.activation.activation import activate as activate
    from retrieval.activation.originals import Original as Original
    from retrieval.activation.results import Activated as Activated

lazy(__name__)
