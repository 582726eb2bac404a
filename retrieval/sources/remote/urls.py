"""Tell URLs from paths, and strip what is secret in them: user, password and signature."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # at least two letters: C:/ is a drive
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^\s'\"<>]+")

_BROKEN_PORT = re.compile(r"[^/?#@\[\]]*:[^/?#@]*[^0-9/?#@][^/?#@]*[/?#].*@")

_SECRET = frozenset({
    "accesskeyid", "access_key", "access_key_id", "access_token", "accesstoken", "apikey", "api_key", "api-key", "auth", "auth_token",
    "authorization", "awsaccesskeyid", "client_secret", "credential", "credentials", "googleaccessid", "hmac", "jwt", "key-pair-id",
    "ossaccesskeyid", "passwd", "password", "policy", "pwd", "sas", "secret", "secret_key", "session_token", "sig", "sign",
    "signature", "token", "x-cos-security-token",
})  # fmt: skip
"""Names of parameters that grant access, in lower case."""

_SECRET_PREFIXES = ("x-amz-", "x-goog-", "x-oss-", "x-ms-", "x-obs-", "q-sign", "q-ak")

# What belongs to a signature, and means nothing without one.
_WITH_SIGNATURE = frozenset({
    "expires", "se", "sip", "ske", "skoid", "sks", "skt", "sktid", "skv", "sp", "spr", "sr", "st", "sv", "ss", "srt",
})  # fmt: skip
_SIGNATURES = frozenset({"sig", "signature", "sign", "hmac", "token", "policy"})


def is_url(text: str) -> bool:
    """Say whether a text begins as a URL does, such as ``s3://``."""
    return _URL.match(text) is not None


def protocol_of(url: str) -> str:
    """Return a URL's scheme in lower case."""
    return url.partition("://")[0].lower()


def host_of(url: str) -> str:
    """Return the host, or the bucket, of a URL, with its port and without user and password."""
    return _authority(url)[1]


def public_url(url: str) -> str:
    """Return a URL without user, password and parameters that grant access; the rest stays as it is written."""
    start, host, rest = _authority(url)
    rest, mark, fragment = rest.partition("#")
    path, question, query = rest.partition("?")
    if question:
        parts = query.split("&")
        names = [unquote_plus(part.partition("=")[0]).lower() for part in parts]
        signed = not _SIGNATURES.isdisjoint(names)
        kept = [
            part
            for part, name in zip(parts, names, strict=True)
            if not _is_secret(name, part) and not (signed and name in _WITH_SIGNATURE)
        ]
        path += "?" + "&".join(kept) if kept else ""
    if fragment:
        parts = fragment.split("&")
        kept = [part for part in parts if not _is_secret(unquote_plus(part.partition("=")[0]).lower(), part)]
        mark, fragment = "#" if kept else "", "&".join(kept)
    return f"{start}{host}{path}{mark}{fragment}"


def scrubbed(text: str) -> str:
    """Return a text, such as another library's message, with every URL in it made public."""
    return _IN_TEXT.sub(lambda found: public_url(found[0]), text)


def joined(url: str, path: str) -> str:
    """Return the URL of a path below a URL; what grants access to it stays.

    Args:
        url: of a folder, with or without a slash at its end.
        path: relative, ``/`` between its parts.
    """
    folder, question, query = url.partition("?")
    return f"{folder.rstrip('/')}/{path}{question}{query}"


def _authority(url: str) -> tuple[str, str, str]:
    """Return what stands before a URL's host (its scheme), the host, and the rest."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "", "", url
    if _BROKEN_PORT.match(rest):  # a password with a slash: no URL that can be read, but it will be shown
        rest = rest.rpartition("@")[2]
    end = min((place for place in map(rest.find, "/?#") if place >= 0), default=len(rest))
    return scheme + separator, rest[:end].rpartition("@")[2], rest[end:]


def _is_secret(name: str, part: str) -> bool:
    """Say whether a parameter grants access: by its name, or, as Google's keys do, by its value."""
    return name in _SECRET or name.startswith(_SECRET_PREFIXES) or part.partition("=")[2].startswith("AIza")
