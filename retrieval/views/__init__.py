"""Parts of images have vectors of their own, so that a small part of a picture is found, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.views.image_table import ImageTable as ImageTable, ViewsFile as ViewsFile
    from retrieval.views.layout import (
        MOST_VIEWS as MOST_VIEWS,
        Box as Box,
        check_views as check_views,
        cut as cut,
        windows as windows,
    )
    from retrieval.views.update import (
        ViewsReport as ViewsReport,
        drop_views as drop_views,
        record_views as record_views,
        refuse_views as refuse_views,
        updating_views as updating_views,
    )
    from retrieval.views.view_search import OpenViews as OpenViews, open_views as open_views

lazy(__name__)
