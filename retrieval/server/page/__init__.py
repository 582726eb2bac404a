"""The page: what a person sees in a browser."""

from __future__ import annotations

from retrieval.server.page.files import routes

__all__ = ["routes"]
