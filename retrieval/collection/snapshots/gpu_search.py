"""Search exactly on a GPU through torch, where faiss does not see the card.

`indexes` knows nothing of torch; it takes what proposes candidates as an argument, and scores them exactly itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexes.engine import Candidates
    from indexes.vectors import Halves, Ids, Vectors

_SHARE = 0.8  # of the card's free memory that rows may take
_COPIED = 65_536  # rows copied to the card at once
_SCORED = 1 << 28  # scores held on the card at once
_ERROR = 2e-3  # more than a product of half-precision unit vectors, kept in half precision, is off by
_MOST = 4096


def exact_on(device: str) -> Callable[[Halves], Candidates | None] | None:
    """Return what puts rows on a CUDA device, None for other devices; it gives None where there is no card or no room."""
    if not device.startswith("cuda"):
        return None

    def put(rows: Halves) -> Candidates | None:
        try:
            import torch
        except ImportError:
            return None
        if not torch.cuda.is_available():
            return None
        from retrieval.encoders import torch_device

        place = torch_device(device)
        free, _ = torch.cuda.mem_get_info(place)
        return TorchRows(rows, device=place) if len(rows) and rows.nbytes < _SHARE * free else None

    return put


class TorchRows:
    """Rows on one torch device in half precision.

    Args:
        rows: ``(n, d)`` float16 unit rows; copied in blocks.
        device: torch's name of it.
    """

    def __init__(self, rows: Halves, *, device: str) -> None:
        import torch

        self._rows: Any = torch.empty(rows.shape, dtype=torch.float16, device=device)  # (n, d)
        for start in range(0, len(rows), _COPIED):
            block = np.array(rows[start : start + _COPIED])  # torch wants memory that it might write to
            self._rows[start : start + len(block)] = torch.from_numpy(block).to(device)

    def candidates(self, queries: Vectors, *, k: int) -> Ids | None:
        """Return ids ``(q, m)`` among which each query's best ``k`` certainly are; None if too many may be."""
        import torch

        n = len(self._rows)
        wanted = min(2 * k + 32, n)
        asked = torch.from_numpy(np.array(queries)).to(self._rows.device, torch.float16)  # (q, d)
        with torch.inference_mode():
            while wanted <= _MOST:
                scores, ids = self._best(asked, wanted)  # (q, wanted) each
                if wanted == n or bool((scores[:, -1] < scores[:, k - 1] - 2 * _ERROR).all()):
                    found: Ids = ids.cpu().numpy()
                    return found
                wanted = min(4 * wanted, n)
        return None

    def _best(self, asked: Any, wanted: int) -> tuple[Any, Any]:
        import torch

        step = max(wanted, _SCORED // max(len(asked), 1))
        scores, ids = [], []
        for start in range(0, len(self._rows), step):
            part = self._rows[start : start + step]
            top = torch.topk(asked @ part.T, min(wanted, len(part)), dim=1)
            scores.append(top.values.float())
            ids.append(top.indices + start)
        if len(scores) == 1:
            return scores[0], ids[0]
        top = torch.topk(torch.cat(scores, 1), wanted, dim=1)
        return top.values, torch.cat(ids, 1).gather(1, top.indices)
