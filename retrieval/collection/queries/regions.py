"""Cut a part out of a picture, so that it is searched for by itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from indexes.errors import value_text
from retrieval.errors import ImageError, QueryError

if TYPE_CHECKING:
    from PIL.Image import Image

Region: TypeAlias = tuple[float, float, float, float]
"""Left, top, width and height of a part of an upright picture: shares of it, or pixels if any of the four is greater than 1."""


class Cut(NamedTuple):
    """An image of which only a part is meant.

    Attributes:
        source: the image, as `retrieval.image` takes it.
        region: the part.
    """

    source: Any
    region: Region


def as_region(value: Any) -> Region:
    """Read a region: four numbers.

    Raises:
        QueryError: they are not four, not finite, negative, or leave nothing.
    """
    try:
        numbers = tuple(float(one) for one in value)
    except (TypeError, ValueError) as error:
        raise QueryError(_refusal(value)) from error
    if len(numbers) != 4 or not all(math.isfinite(one) and one >= 0 for one in numbers):
        raise QueryError(_refusal(value))
    x, y, width, height = numbers
    if not (width > 0 and height > 0):
        raise QueryError(
            f"the region {value_text(value, 60)} is empty; its width and height must be more than 0"
        )
    return x, y, width, height


def cut_out(picture: Image, region: Region, *, name: str = "image") -> Image:
    """Return a part of a picture; what of it lies outside is left away.

    Args:
        picture: upright.
        region: as `as_region` gives it.
        name: what messages call the picture.
    Raises:
        ImageError: ``outside``: nothing of it lies inside.
    """
    x, y, width, height = region
    across, down = (1, 1) if max(region) > 1 else picture.size
    left, top = round(x * across), round(y * down)
    right = min(max(round((x + width) * across), left + 1), picture.width)
    bottom = min(max(round((y + height) * down), top + 1), picture.height)
    if left >= right or top >= bottom:
        shown = ", ".join(f"{one:g}" for one in region)
        raise ImageError(
            f"{name}: the region {shown} lies outside the picture, which has {picture.width} x {picture.height} pixels",
            reason="outside",
        )
    return picture.crop((left, top, right, bottom))


def _refusal(value: Any) -> str:
    return f"{value_text(value, 60)} is no region; give x, y, width and height, as shares of the picture (0 to 1) or in pixels"
