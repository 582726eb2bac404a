"""Bytes of a file become upright RGB pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.sources.decoding.budget import DECODED_BYTES as DECODED_BYTES, FILE_BYTES as FILE_BYTES
    from retrieval.sources.decoding.colours import UPRIGHT as UPRIGHT
    from retrieval.sources.decoding.decoder import (
        MAX_PIXELS as MAX_PIXELS,
        ImageSource as ImageSource,
        content_hash as content_hash,
        decode as decode,
        loaded as loaded,
        read_file as read_file,
        read_file_head as read_file_head,
        refuse_large as refuse_large,
    )
    from retrieval.sources.decoding.file_formats import describe as describe
    from retrieval.sources.decoding.formats import plugin_for as plugin_for, quiet as quiet
    from retrieval.sources.decoding.image_files import OpenedFile as OpenedFile, open_file as open_file
    from retrieval.sources.decoding.os_reasons import has_rawpy as has_rawpy, os_reason as os_reason
    from retrieval.sources.decoding.reasons import (
        BROKEN as BROKEN,
        broken as broken,
        image_error as image_error,
    )

lazy(__name__)
