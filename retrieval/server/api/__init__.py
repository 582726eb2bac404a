"""The HTTP API: requests become searches, and hits become answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.exports import lazy

if TYPE_CHECKING:
    from retrieval.server.api.collections import OWN_PAGES_ONLY as OWN_PAGES_ONLY, named_maps as named_maps
    from retrieval.server.api.endpoints import ENDPOINTS as ENDPOINTS, routes as routes
    from retrieval.server.api.hits import (
        encoded as encoded,
        hit_objects as hit_objects,
        images_address as images_address,
        json_response as json_response,
    )
    from retrieval.server.api.requests import Refused as Refused, problem as problem
    from retrieval.server.api.service import Service as Service

lazy(__name__)
