"""Read what single formats need of their own: TIFF pages and samples, cut JPEG files, damaged PNG files, previews of raw photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources.decoding.file_formats.jpeg_rows import (
        all_scans_begun,
        block_height,
        coefficient_bytes,
        endings,
        missing_part,
    )
    from retrieval.sources.decoding.file_formats.png_chunks import readable_png, transparent_value
    from retrieval.sources.decoding.file_formats.raw_previews import (
        has_raw_signature,
        holds_sensor_data,
        preview,
    )
    from retrieval.sources.decoding.file_formats.sample_ranges import extremes, sample_range, scaled
    from retrieval.sources.decoding.file_formats.tiff_pages import (
        Page,
        choose_page,
        read_pages,
        with_first_page,
    )
    from retrieval.sources.decoding.file_formats.tiff_samples import (
        UnsupportedTiff,
        describe,
        is_plain,
        pillow_reads,
        read_samples,
        require_known,
        sample_bytes,
    )

__all__ = [
    "Page",
    "UnsupportedTiff",
    "all_scans_begun",
    "block_height",
    "choose_page",
    "coefficient_bytes",
    "describe",
    "endings",
    "extremes",
    "has_raw_signature",
    "holds_sensor_data",
    "is_plain",
    "missing_part",
    "pillow_reads",
    "preview",
    "read_pages",
    "read_samples",
    "readable_png",
    "require_known",
    "sample_bytes",
    "sample_range",
    "scaled",
    "transparent_value",
    "with_first_page",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "jpeg_rows": ("all_scans_begun", "block_height", "coefficient_bytes", "endings", "missing_part"),
            "png_chunks": ("readable_png", "transparent_value"),
            "raw_previews": ("has_raw_signature", "holds_sensor_data", "preview"),
            "sample_ranges": ("extremes", "sample_range", "scaled"),
            "tiff_pages": ("Page", "choose_page", "read_pages", "with_first_page"),
            "tiff_samples": (
                "UnsupportedTiff",
                "describe",
                "is_plain",
                "pillow_reads",
                "read_samples",
                "require_known",
                "sample_bytes",
            ),
        },
    )
