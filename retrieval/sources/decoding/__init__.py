"""Bytes of a file become upright RGB pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources.decoding.budget import DECODED_BYTES, FILE_BYTES
    from retrieval.sources.decoding.colours import UPRIGHT
    from retrieval.sources.decoding.decoder import (
        MAX_PIXELS,
        ImageSource,
        content_hash,
        decode,
        loaded,
        read_file,
        read_file_head,
        refuse_large,
    )
    from retrieval.sources.decoding.file_formats import describe
    from retrieval.sources.decoding.formats import plugin_for, quiet
    from retrieval.sources.decoding.image_files import OpenedFile, open_file
    from retrieval.sources.decoding.os_reasons import has_rawpy, os_reason
    from retrieval.sources.decoding.reasons import BROKEN, broken, image_error

__all__ = [
    "BROKEN",
    "DECODED_BYTES",
    "FILE_BYTES",
    "MAX_PIXELS",
    "UPRIGHT",
    "ImageSource",
    "OpenedFile",
    "broken",
    "content_hash",
    "decode",
    "describe",
    "has_rawpy",
    "image_error",
    "loaded",
    "open_file",
    "os_reason",
    "plugin_for",
    "quiet",
    "read_file",
    "read_file_head",
    "refuse_large",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "budget": ("DECODED_BYTES", "FILE_BYTES"),
            "colours": ("UPRIGHT",),
            "decoder": (
                "ImageSource",
                "MAX_PIXELS",
                "content_hash",
                "decode",
                "loaded",
                "read_file",
                "read_file_head",
                "refuse_large",
            ),
            "file_formats": ("describe",),
            "formats": ("plugin_for", "quiet"),
            "image_files": ("OpenedFile", "open_file"),
            "os_reasons": ("has_rawpy", "os_reason"),
            "reasons": ("BROKEN", "broken", "image_error"),
        },
    )
