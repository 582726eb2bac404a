"""Describe one tower of a torch model: what is run, exported and compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """One tower of a model.

    Attributes:
        module: makes of the model what is exported: a module that maps one tensor ``(b, ...)`` to features ``(b, d)``.
        encode: does the same as the model itself does it; it decides what is right.
        example: makes inputs ``(b, ...)`` that both runtimes are compared by; ``b`` is at least 2.
        shorten: cuts off what a graph need not read of inputs; None where it reads all.
    """

    module: Callable[[Any], torch.nn.Module]
    encode: Callable[[Any, torch.Tensor], torch.Tensor]
    example: Callable[[], NDArray[Any]]
    shorten: Callable[[NDArray[Any]], NDArray[Any]] | None = None
