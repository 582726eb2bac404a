"""Show names, images, facts and progress to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.display import notebook as notebook
    from retrieval.display.escaping import (
        UNSAFE as UNSAFE,
        escape as escape,
        path_json as path_json,
        paths_json as paths_json,
    )
    from retrieval.display.previews import (
        Thumbnail as Thumbnail,
        small_jpeg as small_jpeg,
        thumbnail as thumbnail,
        thumbnails as thumbnails,
    )
    from retrieval.display.progress_bar import (
        PHASES as PHASES,
        Bar as Bar,
        duration as duration,
        progress_shown as progress_shown,
    )
    from retrieval.display.widths import (
        cells as cells,
        first_words as first_words,
        shorten as shorten,
    )

lazy(__name__)
