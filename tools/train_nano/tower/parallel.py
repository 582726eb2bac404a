"""Give each core its own copy of a module to go backward through, and sum what they found."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Generic, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)
R = TypeVar("R")


class Replicas(Generic[M]):
    """As many copies of a module as there are workers; parameters are shared, gradients and running statistics are not.

    Each part of a batch goes to whichever worker is free, on one core: on a busy machine that loses the share that others
    take, while two cores working at one product wait for the slower of them.

    Args:
        shared: the module whose parameters an optimiser steps; made before its copies, and changed in place only.
        workers: how many threads.
    """

    def __init__(self, shared: M, workers: int) -> None:
        self.shared = shared
        self._free: queue.Queue[M] = queue.Queue()
        self._workers = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
        for _ in range(workers):
            replica = deepcopy(shared)
            for own, parameter in zip(replica.parameters(), shared.parameters(), strict=True):
                own.data = parameter.data
            self._free.put(replica.train())

    def backward(self, part: Callable[..., R], *pieces: Iterable[object]) -> list[R]:
        """Call ``part(replica, *piece)`` for each piece, and gather the gradients that it adds in ``shared``.

        Running statistics are averaged over the replicas, in them and in ``shared``.
        """

        def work(*piece: object) -> R:
            replica = self._free.get()
            try:
                return part(replica, *piece)
            finally:
                self._free.put(replica)

        found = list(self._workers.map(work, *pieces))
        self._gather()
        return found

    def step(self, optimisers: list[torch.optim.Optimizer]) -> None:
        """Step and clear the optimisers, each on one core."""
        list(self._workers.map(lambda optimiser: optimiser.step(), optimisers))
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)

    @torch.no_grad()
    def _gather(self) -> None:
        replicas = list(self._free.queue)
        for shared, *own in zip(
            self.shared.parameters(), *(replica.parameters() for replica in replicas), strict=True
        ):
            grads = [parameter.grad for parameter in own if parameter.grad is not None]
            for other in grads[1:]:
                grads[0] += other
            shared.grad = grads[0] if grads else None
            for parameter in own:
                parameter.grad = None
        for buffer, *copies in zip(
            self.shared.buffers(), *(replica.buffers() for replica in replicas), strict=True
        ):
            if buffer.is_floating_point():
                buffer.copy_(torch.stack(copies).mean(0))
                for other in copies:
                    other.copy_(buffer)


@torch.no_grad()
def move_average(average: nn.Module, module: nn.Module, *, keep: float) -> None:
    """Move the averaged weights and statistics toward the module's: ``keep`` of the old ones stay."""
    new = module.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(new[name], 1 - keep)
        else:
            value.copy_(new[name])
