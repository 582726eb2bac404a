"""Define what requests may ask for: each field's type, range and meaning. The OpenAPI document is made of these."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Region = Annotated[
    tuple[float, float, float, float],
    Meta(
        description="x, y, width and height of a part of the picture, which is searched by itself: shares of the upright "
        "picture, or pixels if any of the four is greater than 1"
    ),
]
Text = Annotated[str, Meta(description="words")]
Base64 = Annotated[str, Meta(description="a picture file in base64")]
RowId = Annotated[int, Meta(ge=0, le=(1 << 63) - 1, description="the id of an image of the collection")]
Vector = Annotated[
    list[float], Meta(min_length=1, max_length=65_536, description="a vector of the collection's space")
]
Url = Annotated[str, Meta(description="where a picture lies; only if the server fetches URLs")]


class Part(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One part of a query: words, a picture, an image of the collection, or a vector; exactly one of them."""

    text: Text | None = None
    image: Base64 | None = None
    id: RowId | None = None
    vector: Vector | None = None
    url: Url | None = None
    weight: Annotated[
        float, Meta(ge=-1000, le=1000, description="its share in the sum; negative steers away")
    ] = 1.0
    region: Region | None = None


class Options(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What every search may be told besides the query."""

    minus: Annotated[str | Part | list[str | Part], Meta(description="what to steer away from")] | None = None
    k: Annotated[int, Meta(ge=1, description="how many hits at most")] = 10
    cursor: (
        Annotated[str, Meta(description="`next` of an answer to the same query: goes on behind it")] | None
    ) = None
    min_score: Annotated[float, Meta(ge=-1, le=1, description="leave out hits below this cosine")] | None = (
        None
    )
    under: Annotated[str, Meta(description="only images below this folder of the collection")] | None = None
    glob: Annotated[str, Meta(description="only images whose path matches; `**` crosses folders")] | None = (
        None
    )
    where: (
        Annotated[str, Meta(description="only images whose columns fulfil this condition, in SQL")] | None
    ) = None
    ids: Annotated[list[RowId], Meta(description="only these images")] | None = None
    names: Annotated[
        Literal["auto", "only", "off"], Meta(description="look words up in paths, too; there only; or not")
    ] = "auto"
    include_self: Annotated[bool, Meta(description="let images of the query find themselves")] = False
    fold_duplicates: Annotated[bool, Meta(description="fold files with the same bytes into one hit")] = True
    sure: Annotated[bool, Meta(description="drop hits that likely do not match")] = False
    exact: Annotated[bool, Meta(description="compare with every image, not through the index")] = False
    verify: (
        bool
        | Annotated[
            int,
            Meta(
                ge=0,
                description="compare the first 50 hits, or so many, with the one picture of the query; those that show the same "
                "picture come first",
            ),
        ]
    ) = False
    collection: (
        Annotated[str, Meta(description="the collection's name; needed where there are several")] | None
    ) = None


class Search(Options, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A search. What is given of `text`, `image`, `id`, `vector`, `url` and `queries` is added up."""

    text: Text | None = None
    image: Base64 | None = None
    id: RowId | None = None
    vector: Vector | None = None
    url: Url | None = None
    queries: (
        Annotated[
            list[str | Part],
            Meta(min_length=1, description="several parts, each with its weight; a text is words"),
        ]
        | None
    ) = None
    region: Region | None = None


class SearchRequest(Search, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A search, or several in `searches`, each answered by itself; then nothing else is given."""

    searches: Annotated[list[Search], Meta(min_length=1, description="several searches")] | None = None


class DownloadRequest(Struct, forbid_unknown_fields=True):
    """Images to be downloaded together."""

    ids: Annotated[list[RowId], Meta(min_length=1, description="the images")]
    what: Annotated[
        Literal["list", "zip"],
        Meta(description="their paths as a text file, or the files themselves in an archive"),
    ] = "list"
