"""Read, make and compare the server's token, and the cookie of somebody who has shown it."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

from retrieval.errors import OptionError
from retrieval.server.safety.sessions import Sessions

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.datastructures import Headers

    from retrieval.server import Settings

_LONGEST: Final = 4096


def new_token() -> str:
    """Make a token that nobody guesses."""
    return secrets.token_urlsafe(24)


def read_token(path: Path) -> str:
    """Read a token from a file: its first line, without blanks around it.

    Raises:
        OptionError: there is none, or everybody on this machine may read it.
    """
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & stat.S_IROTH:
                raise OptionError(f"{path}: every user of this machine may read this token; chmod 600 it")
            data = file.read(_LONGEST)
    except OSError as error:
        raise OptionError(f"{path}: the token cannot be read ({error.strerror})") from error
    try:
        token = data.decode("ascii").partition("\n")[0].strip()
    except UnicodeDecodeError as error:
        raise OptionError(f"{path}: the token must be ASCII") from error
    if not token:
        raise OptionError(f"{path}: is empty; write a token of at least 8 characters into it")
    return token


class Door:
    """Lets those in who show the token, or a cookie that was given for it.

    The cookie holds no token but a session, which ends when somebody logs out, the token changes, or the server stops.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self._token = None if settings.token is None else settings.token.encode()
        self.cookie_name = f"retrieve_session_{settings.port}"
        self.path = settings.prefix or "/"
        self._sessions = Sessions(self._token or b"")

    @property
    def is_open(self) -> bool:
        """Say whether everybody may enter."""
        return self._token is None

    def knows(self, token: str) -> bool:
        """Compare a token with the server's, in constant time."""
        return self._token is None or hmac.compare_digest(
            token.encode("utf-8", "surrogateescape"), self._token
        )

    def lets_in(self, headers: Headers) -> bool:
        """Say whether a request shows the token or its cookie."""
        if self._token is None:
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.knows(token.strip()):
            return True
        return any(map(self._sessions.knows, self._shown(headers)))

    def end_session(self, headers: Headers) -> None:
        """End the session whose cookie a request shows: the cookie opens nothing any more, whoever has kept it."""
        for session in self._shown(headers):
            self._sessions.end(session)

    def _shown(self, headers: Headers) -> list[str]:
        pairs = _cookies(headers.get("cookie", ""))
        return [value for name, value in pairs if name == self.cookie_name]

    def cookie(self, *, secure: bool, ends: bool = False) -> str:
        """Return the header that gives the cookie of a new session, or takes one back.

        Args:
            secure: the client came by https.
            ends: take it back.
        """
        parts = [
            f"{self.cookie_name}={'' if ends else self._sessions.begin()}",
            f"Path={self.path}",
            "HttpOnly",
            "SameSite=Strict",
            "Max-Age=0" if ends else "Max-Age=2592000",
        ]
        return "; ".join([*parts, "Secure"] if secure else parts)


def _cookies(header: str) -> list[tuple[str, str]]:
    pairs = [part.strip().partition("=") for part in header.split(";")]
    return [(name, value) for name, equals, value in pairs if equals]
