"""Find pretrained weights in the cache or download them; say clearly if neither works."""

from __future__ import annotations

import os
import ssl
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from indexes.engine import starting
from retrieval.errors import UnknownEncoder, WeightsNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    SizeOf: TypeAlias = Callable[[], int | None]

PATIENCE = 1.2  # seconds that a host may take to answer at all, name look-up included


def hub_file(
    repository: str,
    names: Sequence[str],
    *,
    spec: str,
    revision: str | None = None,
    size: SizeOf | None = None,
) -> Path:
    """Return the first of ``names`` from a Hugging Face repository, from the cache if any of them is there.

    Args:
        repository: ``owner/name``.
        names: file names, most wanted first; one is enough.
        spec: the encoder's spec, for messages.
        revision: a branch, tag or commit; `None`: the main branch.
        size: tells about how many bytes are expected; asked only for a message.

    Raises:
        WeightsNotFound: not cached, and the hub is switched off, out of reach (within two seconds) or fails.
        UnknownEncoder: the hub has no such repository or file.
    """
    import huggingface_hub
    from huggingface_hub import constants, errors

    for name in names:
        try:
            cached = huggingface_hub.try_to_load_from_cache(repository, name, revision=revision)
        except errors.HFValidationError as error:
            raise UnknownEncoder(f"{spec}: {repository} is no name of a repository on the hub") from error
        if isinstance(cached, str):
            return Path(cached)
    folder = constants.HF_HUB_CACHE
    at = f" --revision {revision}" if revision else ""

    def missing(reason: str) -> WeightsNotFound:
        return WeightsNotFound(
            f"{spec}: {repository} ({names[0]}, {readable_size(size)}) is not in {folder} and {reason}; with a "
            f"network run `hf download {repository} {names[0]}{at}`, without one run it elsewhere and copy "
            f"models--{repository.replace('/', '--')} from its cache into {folder}"
        )

    if constants.HF_HUB_OFFLINE or _switched_off():
        raise missing("HF_HUB_OFFLINE is set")
    failure = unreachable(constants.ENDPOINT)
    if failure is not None:
        raise missing(f"{constants.ENDPOINT} cannot be reached ({failure})")
    for name in names:
        try:
            return Path(huggingface_hub.hf_hub_download(repository, name, revision=revision))
        except errors.RepositoryNotFoundError as error:
            raise UnknownEncoder(
                f"{spec}: {constants.ENDPOINT} has no repository {repository} that you may read "
                f"(a gated one needs `hf auth login`)"
            ) from error
        except (OSError, ValueError) as error:
            absent = (errors.EntryNotFoundError, errors.RevisionNotFoundError)
            if isinstance(error, absent) and not isinstance(error, errors.LocalEntryNotFoundError):
                continue
            raise missing(f"the download failed ({_first_line(error)})") from error
    raise UnknownEncoder(
        f"{spec}: the repository {repository} at {constants.ENDPOINT} has none of {', '.join(names)}{at}"
    )


def url_file(
    url: str,
    folder: Path,
    download: Callable[[str], object],
    *,
    spec: str,
    size: SizeOf | None = None,
) -> Path:
    """Return the file of a URL, from the cache if it is there.

    Args:
        url: where the file is.
        folder: where the library keeps its downloads.
        download: the library's own download of a URL into ``folder``.
        spec: the encoder's spec, for messages.
        size: tells about how many bytes are expected; asked only for a message.

    Raises:
        WeightsNotFound: not cached, and the host is out of reach or the download fails.
    """
    path = folder / url.rpartition("/")[2]
    if path.is_file():
        return path
    failure = "HF_HUB_OFFLINE is set" if _switched_off() else unreachable(url)
    if failure is None:
        try:
            download(url)
        except (OSError, RuntimeError) as error:
            failure = _first_line(error)
    if failure is not None:
        raise WeightsNotFound(
            f"{spec}: the weights ({path.name}, {readable_size(size)}) are not in {folder} and cannot be had "
            f"({failure}); run `curl -L -o {path} {url}` on a machine with a network and copy the file there"
        )
    return path


def unreachable(url: str, *, patience: float = PATIENCE) -> str | None:
    """Return why a web host does not answer within ``patience`` seconds, or `None` when it does.

    One request, no retry; proxies of the environment are used. It runs beside a clock because looking up a name
    may take far longer than any timeout of a socket.
    """
    outcome: list[str | None] = [f"no answer within {patience} s"]

    def ask() -> None:
        try:
            # HF_ENDPOINT, or an address from the tables of open_clip and timm.
            request = urllib.request.Request(url, method="HEAD")  # noqa: S310
            with urllib.request.urlopen(request, timeout=patience):  # noqa: S310
                outcome[0] = None
        except urllib.error.HTTPError as error:
            with error:  # It answered; whether it serves the file is seen when it is asked for it.
                outcome[0] = None if error.code < 500 else f"HTTP {error.code} {error.reason}"
        except urllib.error.URLError as error:
            # urllib's certificates are not the hub client's: a refused certificate is an answer.
            outcome[0] = None if isinstance(error.reason, ssl.SSLError) else _first_line(error.reason)
        except (OSError, ValueError) as error:
            outcome[0] = _first_line(error)

    thread = threading.Thread(target=ask, daemon=True)
    with starting("thread"):
        thread.start()
    thread.join(patience)
    return outcome[0]


def readable_size(size: SizeOf | None) -> str:
    """Return ``about 605 MB``, or ``size unknown``."""
    count = None if size is None else size()
    if count is None:
        return "size unknown"
    return f"about {count / 1e9:.1f} GB" if count >= 1e9 else f"about {max(1, round(count / 1e6))} MB"


def _switched_off() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}


def _first_line(error: object) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
