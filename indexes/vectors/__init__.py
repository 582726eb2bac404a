"""Arrays, spaces and maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from indexes.vectors import linear_maps as linear_maps, transforms as transforms
    from indexes.vectors.arrays import (
        Bitmap as Bitmap,
        Halves as Halves,
        Ids as Ids,
        Vectors as Vectors,
        floats as floats,
        same_facts as same_facts,
        stored_rows as stored_rows,
        unit_rows as unit_rows,
        without_mask as without_mask,
    )
    from indexes.vectors.blas_threads import one_blas_thread as one_blas_thread
    from indexes.vectors.cosines import clipped as clipped, dots as dots, rescored as rescored
    from indexes.vectors.integers import (
        integer as integer,
        optional_integer as optional_integer,
        places as places,
        row_flags as row_flags,
        row_ids as row_ids,
        spread as spread,
    )
    from indexes.vectors.metrics import (
        compatibility as compatibility,
        curve_area as curve_area,
        map_at_k as map_at_k,
        micro_ap as micro_ap,
        recall_at_k as recall_at_k,
        recall_of_each as recall_of_each,
        regression_rate as regression_rate,
        update_gain as update_gain,
    )
    from indexes.vectors.neighbors import (
        Neighbors as Neighbors,
        best as best,
        concatenated as concatenated,
        merged as merged,
        padding as padding,
        ranking as ranking,
    )
    from indexes.vectors.space import Space as Space
    from indexes.vectors.stacked_rows import StackedRows as StackedRows, as_stacked as as_stacked
    from indexes.vectors.transforms import Matrix as Matrix, Transform as Transform, procrustes as procrustes

lazy(__name__)
