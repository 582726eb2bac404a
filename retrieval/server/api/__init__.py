"""The HTTP API: requests become searches, and hits become answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.exports import lazy

if TYPE_CHECKING:
    from retrieval.server.api.endpoints import ENDPOINTS, routes
    from retrieval.server.api.maps import named_maps
    from retrieval.server.api.problems import Refused, problem
    from retrieval.server.api.reviews import OWN_PAGES_ONLY
    from retrieval.server.api.service import Service

__all__ = ["ENDPOINTS", "OWN_PAGES_ONLY", "Refused", "Service", "named_maps", "problem", "routes"]

if not TYPE_CHECKING:  # a type checker would take every name for one that exists
    __getattr__ = lazy(
        __name__,
        {
            "problems": ("Refused", "problem"),
            "maps": ("named_maps",),
            "endpoints": ("ENDPOINTS", "routes"),
            "reviews": ("OWN_PAGES_ONLY",),
            "service": ("Service",),
        },
    )
