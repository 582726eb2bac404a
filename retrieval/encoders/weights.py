"""Where pretrained weights come from: the cache first, then the network, and at once a clear word when neither has them."""

from __future__ import annotations

import os
import ssl
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import UnknownEncoder, WeightsNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["hub_file", "readable_size", "url_file"]

PATIENCE = 1.2  # seconds that a host may take to answer at all, name look-up included


def hub_file(
    repository: str, names: Sequence[str], *, spec: str, revision: str | None = None, size: int | None = None
) -> Path:
    """Return the first of ``names`` from a Hugging Face repository, from the cache if any of them is there.

    Args:
        repository: ``owner/name``.
        names: file names, most wanted first; one is enough.
        spec: the encoder's spec, for messages.
        revision: a branch, tag or commit; `None`: the main branch.
        size: expected bytes, for messages; `None`: unknown.
    Raises:
        WeightsNotFound: not cached, and the hub is off, out of reach or fails; within two seconds if out of reach.
        UnknownEncoder: the hub has no such repository or file.
    """
    import huggingface_hub
    from huggingface_hub import constants, errors

    for name in names:
        cached = huggingface_hub.try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
    folder = Path(constants.HF_HUB_CACHE)
    at = f" --revision {revision}" if revision else ""
    missing = (
        f"{spec}: the weights {repository} ({names[0]}, {readable_size(size)}) are not in {folder}{{reason}}; "
        f"with a network run `hf download {repository} {names[0]}{at}`, without one run it elsewhere and copy its "
        f"folder models--{repository.replace('/', '--')} into {folder}"
    )
    if constants.HF_HUB_OFFLINE or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}:
        raise WeightsNotFound(missing.format(reason=" and HF_HUB_OFFLINE is set"))
    failure = unreachable(constants.ENDPOINT)
    if failure is not None:
        raise WeightsNotFound(
            missing.format(reason=f" and {constants.ENDPOINT} cannot be reached ({failure})")
        )
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
            reason = f" and the download failed ({_first_line(error)})"
            raise WeightsNotFound(missing.format(reason=reason)) from error
    raise UnknownEncoder(
        f"{spec}: the repository {repository} at {constants.ENDPOINT} has none of {', '.join(names)}"
    )


def url_file(url: str, folder: Path, *, spec: str, size: int | None = None) -> Path | None:
    """Return the cached file of a URL, or `None` where the host answers and the library may download it.

    Args:
        folder: where the library keeps its downloads.
    Raises:
        WeightsNotFound: not cached, and the host is out of reach.
    """
    path = folder / url.rpartition("/")[2]
    if path.is_file():
        return path
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}
    failure = "HF_HUB_OFFLINE is set" if offline else unreachable(url)
    if failure is not None:
        raise WeightsNotFound(
            f"{spec}: the weights ({path.name}, {readable_size(size)}) are not in {folder} and {url} cannot be "
            f"reached ({failure}); run `curl -L -o {path} {url}` on a machine with a network and copy the file there"
        )
    return None


def unreachable(url: str, *, patience: float = PATIENCE) -> str | None:
    """Return why a web host does not answer within ``patience`` seconds, or `None` when it does.

    One request, no retry; proxies of the environment are used. It runs beside a clock because looking up a name may
    take far longer than any timeout of a socket.
    """
    outcome: list[str | None] = [f"no answer within {patience} s"]

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - HF_ENDPOINT and open_clip's own table
            with urllib.request.urlopen(request, timeout=patience):  # noqa: S310
                outcome[0] = None
        except urllib.error.HTTPError as error:
            with error:  # It answered; whether it serves the file is seen when it is asked for it.
                outcome[0] = None if error.code < 500 else f"HTTP {error.code} {error.reason}"
        except ssl.SSLError:
            outcome[0] = None
        except urllib.error.URLError as error:
            outcome[0] = None if isinstance(error.reason, ssl.SSLError) else _first_line(error.reason)
        except (OSError, ValueError) as error:
            outcome[0] = _first_line(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(patience)
    return outcome[0]


def readable_size(size: int | None) -> str:
    """Return ``about 605 MB``, or ``size unknown``."""
    if size is None:
        return "size unknown"
    return f"about {size / 1e9:.1f} GB" if size >= 1e9 else f"about {max(1, round(size / 1e6))} MB"


def _first_line(error: object) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
