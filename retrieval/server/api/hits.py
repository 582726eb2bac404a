"""Write answers: hits as objects, with the addresses of their pictures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from retrieval.collection.answers import Hit
    from retrieval.server import Served, Settings


class AnsweredHit(Struct):
    """One hit, as answers have it."""

    rank: Annotated[int, Meta(description="1 for the best")]
    score: Annotated[
        float | None, Meta(description="cosine, at most 1; higher is better; null where only words matched")
    ]
    path: Annotated[str, Meta(description="within the collection; percent-encoded if it is not UTF-8")]
    id: Annotated[int, Meta(description="of the image in the collection")]
    n_duplicates: Annotated[int, Meta(description="further files with exactly the same bytes")]
    duplicates: Annotated[list[str], Meta(description="paths of the first hundred of them")]
    copies: Annotated[int, Meta(description="the old name of n_duplicates")]
    columns: Annotated[dict[str, str | int | float | bool | None], Meta(description="what else is known")]
    matched: Annotated[list[str], Meta(description="what had the words: image, path, or a column")]
    match: Annotated[
        float | None,
        Meta(
            description="how probable it is that the image is what was asked, 0 to 1; null where that is not known"
        ),
    ]
    thumbnail: Annotated[str, Meta(description="address of a small picture; add &size=512 for a larger one")]
    width: Annotated[int | None, Meta(description="pixels of the image, if known")] = None
    height: Annotated[int | None, Meta(description="pixels of the image, if known")] = None
    region: Annotated[
        list[float] | None,
        Meta(
            description="with views: left, top, width and height of the part that answered; null for the whole"
        ),
    ] = None
    verified: Annotated[
        bool | None,
        Meta(description="with verify: it is the picture that was asked with; null if not compared"),
    ] = None
    relation: Annotated[
        Literal["picture", "scene", "object", "none"] | None,
        Meta(
            description="with verify: one picture, another exposure of a scene, the same thing, or none of these"
        ),
    ] = None
    verified_probability: Annotated[
        float | None, Meta(description="with verify: how probable it is that both are the same picture")
    ] = None
    outline: Annotated[
        list[tuple[float, float]] | None,
        Meta(
            description="with verify: the corners of the picture that was asked with, as shares of this picture's width and "
            "height; outside 0 to 1 where it shows more"
        ),
    ] = None


class Answer(Struct):
    """The answer to a search."""

    hits: list[AnsweredHit]
    next: Annotated[
        str | None, Meta(description="send it as cursor, with the same query, for the hits behind these")
    ]
    took_ms: Annotated[float, Meta(description="milliseconds that the search took")]
    generation: Annotated[int, Meta(description="of the collection that answered")]
    collection: Annotated[str, Meta(description="its name")]
    searched: Annotated[int, Meta(description="images that could have been found")]
    likely: Annotated[
        int | None,
        Meta(
            description="first hits, from rank 1, behind which comes likely nothing; null where that is not known"
        ),
    ]
    unknown_words: Annotated[list[str], Meta(description="words that the encoder has never learned")]
    read_as: Annotated[
        dict[str, str], Meta(description="misspelt words as they were written, and what they were read as")
    ]
    checked: Annotated[
        int | None,
        Meta(description="with verify: hits that were compared with the picture that was asked with"),
    ] = None
    missing: Annotated[list[str], Meta(description="shards that were not searched")] = []


class Answers(Struct):
    """The answers to several searches, in their order; one that failed is a problem."""

    answers: Annotated[
        list[Any],
        Meta(
            extra_json_schema={
                "items": {
                    "anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("Answer", "Problem")]
                }
            }
        ),
    ]


def hit_objects(hits: Iterable[Hit], served: Served, settings: Settings) -> list[dict[str, Any]]:
    """Return hits as answers have them.

    Args:
        hits: of the search.
        served: the collection that they are of.
        settings: of the server.
    """
    start, end = images_address(served, settings), f"/thumbnail?v={served.mark}"
    return [_hit_object(hit, f"{start}{hit['id']}{end}") for hit in hits]


def _hit_object(hit: Hit, thumbnail: str) -> dict[str, Any]:
    columns = hit.get("columns") or {}
    found = dict(hit)
    found["copies"] = found["n_duplicates"]
    found["columns"] = columns
    found["matched"] = found.get("matched") or []
    found["match"] = found.get("match")
    found["thumbnail"] = thumbnail
    for name in ("width", "height"):
        if isinstance(columns.get(name), int):
            found[name] = columns[name]
    return found


def images_address(served: Served, settings: Settings) -> str:
    """Return what the paths of images' routes begin with: the server's prefix and the collection; an id follows."""
    return f"{settings.prefix}/v1/collections/{quote(served.name, safe='')}/images/"


def encoded(value: Any) -> bytes:
    """Return a value as JSON; half characters in texts become escapes."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False).encode()


def json_response(value: Any) -> Response:
    """Answer with JSON."""
    return Response(encoded(value), media_type="application/json")
