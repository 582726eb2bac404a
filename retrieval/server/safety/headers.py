"""Give the headers that every answer has."""

from __future__ import annotations

from typing import Final

_LOADS: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "media-src 'self' blob: mediastream:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)

POLICY: Final = "; ".join(_LOADS)
"""What the page may load: what this server gives, and nothing else."""

HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=(), interest-cohort=()"),
    (b"cache-control", b"no-store"),
)
"""Headers and their values; one that an answer has already stays as it is."""


def login_policy(style: str) -> str:
    """Return the policy of the form that asks for the token: its own style sheet and nothing else.

    Args:
        style: the text of the style sheet.
    """
    import base64
    from hashlib import sha256

    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
