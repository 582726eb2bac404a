"""FAISS and exact search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.engine import costs as costs, gpu_index as gpu_index, tune as tune
    from indexes.engine.backend import (
        allowed_cores as allowed_cores,
        can_wait as can_wait,
        faiss as faiss,
        faiss_threads as faiss_threads,
        fp16_view as fp16_view,
        gpu as gpu,
        in_threads as in_threads,
        linear as linear,
        one_thread as one_thread,
        threads as threads,
    )
    from indexes.engine.cuda_driver import cuda_devices as cuda_devices
    from indexes.engine.gpu_index import Candidates as Candidates, Card as Card
    from indexes.engine.lists import (
        SMALLEST as SMALLEST,
        Probes as Probes,
        block_lists as block_lists,
        chain as chain,
        factory_strings as factory_strings,
        ivf as ivf,
        nearest as nearest,
        prefixes as prefixes,
        segments as segments,
    )
    from indexes.engine.process_limits import (
        bound_blas as bound_blas,
        has_room as has_room,
        require_threads as require_threads,
        starting as starting,
    )
    from indexes.engine.refined import Refined as Refined
    from indexes.engine.scan import (
        Floats as Floats,
        exact as exact,
        flat as flat,
        knn_accuracy as knn_accuracy,
    )
    from indexes.engine.targets import Aim as Aim, same_codes as same_codes
    from indexes.engine.thread_pool import ThreadPool as ThreadPool
    from indexes.engine.tune import (
        K as K,
        Questions as Questions,
        Trial as Trial,
        Tuned as Tuned,
        passes as passes,
        without as without,
    )

lazy(__name__)
