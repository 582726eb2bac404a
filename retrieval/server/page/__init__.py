"""The page: what a person sees in a browser."""

from __future__ import annotations

from retrieval.server.page.files import CONTENT_SECURITY_POLICY as CONTENT_SECURITY_POLICY, routes as routes
