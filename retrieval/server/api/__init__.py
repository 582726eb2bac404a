"""The HTTP API: requests become searches, and hits become answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.server.api.collections import OWN_PAGES_ONLY, named_maps
    from retrieval.server.api.endpoints import ENDPOINTS, routes
    from retrieval.server.api.hits import encoded, hit_objects, images_address, json_response
    from retrieval.server.api.requests import Refused, problem
    from retrieval.server.api.service import Service

__all__ = [
    "ENDPOINTS",
    "OWN_PAGES_ONLY",
    "Refused",
    "Service",
    "encoded",
    "hit_objects",
    "images_address",
    "json_response",
    "named_maps",
    "problem",
    "routes",
]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "collections": ("OWN_PAGES_ONLY", "named_maps"),
            "endpoints": ("ENDPOINTS", "routes"),
            "hits": ("encoded", "hit_objects", "images_address", "json_response"),
            "requests": ("Refused", "problem"),
            "service": ("Service",),
        },
    )
