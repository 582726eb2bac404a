"""Accept an encoder object or class, and name the member that is missing otherwise."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, cast

from indexes.vectors import Space
from retrieval.errors import EncoderError

if TYPE_CHECKING:
    from retrieval.encoders import Encoder

_MEMBERS = ("space", "preprocess", "encode_pixels")


def encoder_object(given: object, *, what: str) -> Encoder:
    """Return an encoder that was given as an object, or make the object of a class that needs no arguments.

    Args:
        given: the object or the class.
        what: names it in messages.
    Raises:
        EncoderError: it is no encoder, or a class whose objects need arguments; the message names the member that is
            missing and where a template is.
    """
    missing = [name for name in _MEMBERS if not hasattr(given, name)]
    if isinstance(given, type):
        if all(name == "space" for name in missing):  # often set by __init__
            return encoder_object(_made(given, what=what), what=what)
        what = f"{what}, the class {given.__name__},"
    if missing:
        raise EncoderError(
            f"{what} is no encoder: it has no {', '.join(missing)}; `help(retrieval.Encoder)` shows a template"
        )
    space = given.space  # type: ignore[attr-defined]
    if not isinstance(space, Space):
        raise EncoderError(
            f"{what} has a {type(space).__name__} as space; expected "
            'retrieval.Space(name="…", dim=…, fingerprint=retrieval.fingerprint(…))'
        )
    for name in _MEMBERS[1:]:
        if not callable(getattr(given, name)):
            raise EncoderError(
                f"{what} has a {name} that is no method; `help(retrieval.Encoder)` shows a template"
            )
    return cast("Encoder", given)


def _made(cls: type, *, what: str) -> object:
    try:
        inspect.signature(cls).bind()
    except (TypeError, ValueError) as error:
        raise EncoderError(
            f"{what} is the class {cls.__name__}, and its objects need arguments ({error}); "
            f"give an object, {cls.__name__}(…)"
        ) from error
    return cls()
