"""Read what single formats need of their own: TIFF pages and samples, cut JPEG files, damaged PNG files, previews of raw photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources.decoding.file_formats.jpeg_rows import (
        all_scans_begun as all_scans_begun,
        block_height as block_height,
        coefficient_bytes as coefficient_bytes,
        endings as endings,
        missing_part as missing_part,
    )
    from retrieval.sources.decoding.file_formats.png_chunks import (
        readable_png as readable_png,
        transparent_value as transparent_value,
    )
    from retrieval.sources.decoding.file_formats.raw_previews import (
        has_raw_signature as has_raw_signature,
        holds_sensor_data as holds_sensor_data,
        preview as preview,
    )
    from retrieval.sources.decoding.file_formats.sample_ranges import (
        extremes as extremes,
        sample_range as sample_range,
        scaled as scaled,
    )
    from retrieval.sources.decoding.file_formats.tiff_pages import (
        Page as Page,
        choose_page as choose_page,
        read_pages as read_pages,
        with_first_page as with_first_page,
    )
    from retrieval.sources.decoding.file_formats.tiff_samples import (
        UnsupportedTiff as UnsupportedTiff,
        describe as describe,
        is_plain as is_plain,
        pillow_reads as pillow_reads,
        read_samples as read_samples,
        require_known as require_known,
        sample_bytes as sample_bytes,
    )

lazy(__name__)
