"""Read the bodies of requests: JSON, or forms with pictures in them. A field that is not known is refused by name."""

from __future__ import annotations

import base64
import binascii
import difflib
import logging
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from retrieval.server.api.requests.problems import Refused
from retrieval.server.api.requests.schema import Part, Search

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request

T = TypeVar("T", bound=msgspec.Struct)

logging.getLogger("python_multipart").addHandler(logging.NullHandler())
# Without a handler Python writes its warnings to stderr, one for each broken form that a stranger sends.

_UNKNOWN = re.compile(r"unknown field `([^`]*)`(?: - at `(.*)`)?")
_DATA_URL = re.compile(r"data:[-\w./+]*;base64,")
_TEXTS: Final = frozenset({"text", "url", "under", "glob", "where", "cursor", "names", "collection", "minus"})
"""Fields of a form whose values are taken as they are; the others are JSON."""
_FIELDS: Final = 64
_FILES: Final = 32


async def read_json(request: Request, kind: type[T]) -> T:
    """Read a body of JSON as a request of a kind.

    Raises:
        Refused: it is none; the message says where and why.
    """
    sent = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if sent != "application/json" and not sent.endswith("+json"):
        raise Refused(415, f"the body is {sent!r:.100}; send application/json")
    data = await request.body()
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise Refused(400, told(error, kind)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, f"the body is no JSON: {error}") from error


async def read_form(request: Request, *, most: int) -> tuple[Search, list[bytes]]:
    """Read a form as a search and the pictures that came with it.

    Args:
        request: of the type ``multipart/form-data``; files are called ``image``.
        most: bytes of one field.
    Raises:
        Refused: it is none; the message says where and why.
    """
    parser = _Parser(
        request.headers, request.stream(), max_files=_FILES, max_fields=_FIELDS, max_part_size=most
    )
    try:
        form = await parser.parse()
    except (MultiPartException, UnicodeDecodeError) as error:
        raise Refused(400, f"the form cannot be read: {getattr(error, 'message', error)}") from error
    fields: dict[str, Any] = {}
    uploads: list[bytes] = []
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name != "image":
                    raise Refused(400, f"the form has a file {name!r:.100}; files are called 'image'")
                uploads.append(value.file.read())  # it is in memory
            elif name in fields:
                raise Refused(400, f"the form has the field {name!r:.100} twice")
            else:
                fields[name] = value if name in _TEXTS else _parsed(name, value)
    finally:
        await form.close()
    try:
        return msgspec.convert(fields, Search), uploads
    except msgspec.ValidationError as error:
        raise Refused(400, told(error, Search)) from error


class _Parser(MultiPartParser):
    """Keeps files in memory, since the whole body is bounded, and refuses a form that is cut off."""

    spool_max_size = 1 << 40
    _whole = False

    def on_end(self) -> None:
        super().on_end()
        self._whole = True

    async def parse(self) -> FormData:
        form = await super().parse()
        if not self._whole:  # what came last would be left out of the query without a word
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException("it ends before its last line")
        return form


def _parsed(name: str, value: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeError) as error:
        if name == "image":
            return value  # base64
        raise Refused(400, f"the field {name!r:.100} is no JSON: {error}") from error


def told(error: msgspec.ValidationError, kind: Any) -> str:
    """Return what is wrong with a request; for a field that is not known, the names of those that are."""
    text = str(error)
    found = _UNKNOWN.search(text)
    if found is None:
        return text
    known = sorted(_struct(kind, found[2] or "").__struct_fields__)
    close = difflib.get_close_matches(found[1], known, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    return f"the field {found[1]!r:.100} is not known; {meant}there are: {', '.join(known)}"


def _struct(kind: Any, where: str) -> Any:
    """Return the kind of object that a place of a request has."""
    if re.search(r"\.(queries|minus)\b", where):
        return Part
    return Search if ".searches" in where else kind


def decoded_base64(text: str) -> bytes:
    """Return the bytes of a picture that was sent in base64, also as a data URL.

    Raises:
        Refused: it is none.
    """
    found = _DATA_URL.match(text)
    try:
        data = base64.b64decode(text[found.end() :] if found else text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, f"image is no base64 ({error})") from error
    if not data:
        raise Refused(400, "image is empty")
    return data
