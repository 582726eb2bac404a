"""Begin and end the sessions of people who have shown the token."""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER: Final = "RETRIEVE_SESSIONS"
"""The variable by which worker processes find the folder that they share."""
_KEY: Final = "key"
_BYTES: Final = 32


@contextmanager
def shared_sessions() -> Iterator[None]:
    """Let the processes that are started within the block share their sessions, by a folder that nobody else may read."""
    with TemporaryDirectory(prefix="retrieval-sessions-") as folder:
        Path(folder, _KEY).write_bytes(secrets.token_bytes(_BYTES))
        os.environ[_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[_FOLDER]


class Sessions:
    """The sessions of a server, in whichever of its workers they begin and end.

    Each is a random name, signed with the token and with a key of this run of the server: nobody makes one up, and all end
    when the token changes or the server stops. Those that were ended are remembered until then.

    Args:
        token: of the server.
    """

    def __init__(self, token: bytes) -> None:
        shared = os.environ.get(_FOLDER)
        self._folder = None if shared is None else Path(shared)
        key = secrets.token_bytes(_BYTES) if self._folder is None else (self._folder / _KEY).read_bytes()
        self._key = hmac.new(token, key, sha256).digest()
        self._ended: set[str] = set()

    def begin(self) -> str:
        """Begin a session; return what its cookie holds."""
        name = secrets.token_hex(16)
        return f"{name}.{self._signed(name)}"

    def knows(self, session: str) -> bool:
        """Say whether somebody has begun a session and nobody has ended it; compared in constant time."""
        name = self._name(session)
        return name is not None and not self._is_ended(name)

    def end(self, session: str) -> None:
        """End a session in all workers."""
        name = self._name(session)
        if name is None:
            return
        if self._folder is None:
            self._ended.add(name)
        else:
            (self._folder / name).touch()

    def _is_ended(self, name: str) -> bool:
        return name in self._ended if self._folder is None else (self._folder / name).exists()

    def _name(self, session: str) -> str | None:
        """Return the name of a session that this server has begun; None of any other."""
        name, _, signature = session.partition(".")
        is_own = hmac.compare_digest(
            signature.encode("utf-8", "surrogateescape"), self._signed(name).encode()
        )
        return name if is_own else None

    def _signed(self, name: str) -> str:
        return hmac.new(self._key, name.encode("utf-8", "surrogateescape"), sha256).hexdigest()
