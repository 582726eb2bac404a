"""Find the column of a table that holds the images, and take an image out of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from retrieval.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_IMAGES = (
    "image",
    "img",
    "picture",
    "photo",
    "jpg",
    "jpeg",
    "png",
    "webp",
    "image_bytes",
    "bytes",
    "content",
)
_PLACES = (
    "file_name", "filename", "file", "path", "image_path", "filepath", "file_path", "image", "url", "image_url", "img_url", "uri", "src",
    "key",
)  # fmt: skip
"""What columns of images, and of their paths and URLs, are often called; in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageColumn:
    """Where the images of a table are.

    Attributes:
        name: of the column.
        leaves: what of it is read, such as ``image.bytes`` and ``image.path``.
        places: it holds paths or URLs, not bytes.
    """

    name: str
    leaves: tuple[str, ...]
    places: bool = False


def find_image_column(schema: Any, *, wanted: str | None = None, name: str = "the table") -> ImageColumn:
    """Return the column with the images: the one that is asked for, or the one that looks most like it.

    Args:
        schema: pyarrow's.
        wanted: name of a column.
        name: of the table, for messages.
    Raises:
        OptionError: there is none, or it holds neither bytes nor text.
    """
    repeated = sorted({column for column in schema.names if schema.names.count(column) > 1})
    if repeated:
        raise OptionError(
            f"{name} has several columns called {_named(repeated)}; give each a name of its own"
        )
    if wanted is not None:
        if wanted not in schema.names:
            raise OptionError(
                f"{name} has no column {wanted!r} for `image_column`; it has {_named(schema.names)}"
            )
        column = _as_images(schema.field(wanted)) or _as_places(schema.field(wanted))
        if column is None:
            raise OptionError(
                f"{name}: the column {wanted!r} holds {schema.field(wanted).type}; `image_column` must hold bytes, paths or URLs"
            )
        return column
    features = _features(schema)
    declared = [key for key, value in features.items() if value.get("_type") == "Image"]
    images = {field.name: column for field in schema if (column := _as_images(field)) is not None}
    for known in (*declared, *_like(images, _IMAGES)):
        if known in images:
            return images[known]
    if len(images) == 1:
        return next(iter(images.values()))
    places = {field.name: column for field in schema if (column := _as_places(field)) is not None}
    for known in _like(places, _PLACES):
        return places[known]
    raise OptionError(
        f"{name}: no column looks like images; name one of {_named([*images, *places] or schema.names)} as `image_column`"
    )


def _like(columns: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    """Return the columns that have one of the known names, in the order of these."""
    by_name = {name.lower(): name for name in reversed(list(columns))}
    return [by_name[name] for name in known if name in by_name]


def _as_images(field: Any) -> ImageColumn | None:
    import pyarrow as pa

    kind = _plain(field.type)
    if pa.types.is_struct(kind):
        inner = {kind.field(place).name: kind.field(place).type for place in range(kind.num_fields)}
        if "bytes" in inner and _is_bytes(inner["bytes"]):
            parts = [part for part in ("bytes", "path") if part in inner]
            return ImageColumn(name=field.name, leaves=tuple(f"{field.name}.{part}" for part in parts))
        return None
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return ImageColumn(name=field.name, leaves=(field.name,)) if _is_bytes(kind) else None


def _as_places(field: Any) -> ImageColumn | None:
    import pyarrow as pa

    kind = _plain(field.type)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is(pa.types, "is_string_view", kind)
    return ImageColumn(name=field.name, leaves=(field.name,), places=True) if text else None


def _plain(kind: Any) -> Any:
    """Return what an extension type, such as that of `datasets`, is stored as."""
    return getattr(kind, "storage_type", kind)


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or _is(pa.types, "is_binary_view", kind)
    )


def _is(types: Any, name: str, kind: Any) -> bool:
    return bool(getattr(types, name, lambda _: False)(kind))


def cell_of(array: Any, row: int) -> bytes | str | None:
    """Return the image of a row: its bytes, or the path or URL where it lies; None for a null."""
    array = getattr(array, "storage", array)
    if not array[row].is_valid:
        return None
    if hasattr(array.type, "num_fields") and array.type.num_fields:
        names = [array.type.field(place).name for place in range(array.type.num_fields)]
        data = array.field("bytes")[row].as_py()
        if data is None and "path" in names:
            return value_of(array.field("path")[row]) or None
        return bytes(data) if data is not None else None
    value = value_of(array[row])
    return value if isinstance(value, bytes | str) else None


def value_of(scalar: Any) -> Any:
    """Return the value of a cell; text that is not UTF-8 keeps its bytes, surrogate-escaped."""
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return bytes(scalar.as_buffer()).decode("utf-8", "surrogateescape")


def require_columns(schema: Any, names: Sequence[str], *, name: str) -> None:
    """Refuse columns that a table does not have.

    Raises:
        OptionError: it lacks one.
    """
    for column in names:
        if column not in schema.names:
            raise OptionError(f"{name} has no column {column!r}; it has {_named(schema.names)}")


def class_names(schema: Any) -> dict[str, list[str]]:
    """Return for each column of numbers that stand for classes, as `datasets` declares them, the classes' names."""
    return {
        name: list(value["names"])
        for name, value in _features(schema).items()
        if value.get("_type") == "ClassLabel" and isinstance(value.get("names"), list)
    }


def plain_value(value: Any, names: Sequence[str] | None = None) -> str | int | float | bool | None:
    """Return a cell as a column of a collection may hold it: dates as ISO text, what is nested as JSON.

    A decimal number becomes a number, a span of time its text.

    Args:
        value: as pyarrow gives it.
        names: of the classes that a number stands for.
    """
    if names is not None and isinstance(value, int) and 0 <= value < len(names):
        return str(names[value])
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, int | float | bool):
        return value
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, bytes):
        return None
    if isinstance(value, Decimal):
        return float(value)
    return json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """Return what `datasets` says of the columns in the table's metadata; nothing if another program wrote it."""
    try:
        facts = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: value for name, value in facts.items() if isinstance(value, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(repr(str(name)) for name in names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20:,} more"
