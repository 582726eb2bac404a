"""Read the parameters behind the question mark of an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.server.api.requests.problems import Refused

if TYPE_CHECKING:
    from starlette.requests import Request


def only(request: Request, *known: str) -> None:
    """Refuse parameters that a route does not know.

    Raises:
        Refused: there is one.
    """
    for name in request.query_params:
        if name not in known:
            there = f"; there are: {', '.join(known)}" if known else "; there are none"
            raise Refused(400, f"the parameter {name!r:.100} is not known{there}")


def number_parameter(request: Request, name: str, *, least: int, most: int, default: int) -> int:
    """Return a parameter that is a whole number.

    Raises:
        Refused: it is none, or out of range.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
        raise Refused(400, f"{name} is {text!r:.100}; it must be a whole number from {least} to {most}")
    return int(text)
