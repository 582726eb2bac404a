"""Make the OpenAPI document from the list of routes and the kinds of their bodies."""

from __future__ import annotations

import inspect
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from retrieval.server.api.requests import TYPE, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.server import Settings
    from retrieval.server.api.endpoints import Endpoint

_PART = re.compile(r"\{(\w+)(?::(\w+))?\}")


def openapi(settings: Settings, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the document as an object: OpenAPI 3.1.

    Args:
        settings: of the server; limits stand in the document.
        endpoints: the routes.
    """
    kinds = _kinds(endpoints)
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    by_kind = dict(zip(map(repr, kinds), schemas, strict=True))
    _bound(components, settings)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        for path in (endpoint.path, endpoint.short):
            if path is not None:
                paths.setdefault(_PART.sub(r"{\1}", path), {})[endpoint.method.lower()] = _operation(
                    endpoint, path, by_kind, settings
                )
    secured: list[dict[str, list[str]]] = [{"bearer": []}, {"session": []}] if settings.token else []
    return {
        "openapi": "3.1.0",
        "info": {"title": "retrieve", "version": "1", "description": "Find images by words and by example."},
        "servers": [{"url": settings.prefix or "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "retrieve_session"},
            },
        },
        **({"security": secured} if secured else {}),
    }


def _kinds(endpoints: Sequence[Endpoint]) -> list[Any]:
    """Return every kind of body once."""
    found: dict[str, Any] = {repr(Problem): Problem}
    for endpoint in endpoints:
        for kind in (endpoint.takes, *_alternatives(endpoint.gives)):
            if kind is not None and not isinstance(kind, str):
                found[repr(kind)] = kind
    return list(found.values())


def _alternatives(gives: Any) -> tuple[Any, ...]:
    if isinstance(gives, tuple | str):
        return (gives,) if isinstance(gives, str) else gives
    return getattr(gives, "__args__", (gives,)) if not hasattr(gives, "__origin__") else (gives,)


def _bound(components: dict[str, Any], settings: Settings) -> None:
    """Write the server's limits into the schemas."""
    limits = settings.limits
    for name in ("Search", "SearchRequest"):
        fields = components[name]["properties"]
        fields["k"]["maximum"] = limits.k
    searches = components["SearchRequest"]["properties"]["searches"]
    for schema in searches.get("anyOf", [searches]):
        if schema.get("type") == "array":
            schema["maxItems"] = limits.searches


def _operation(endpoint: Endpoint, path: str, by_kind: dict[str, Any], settings: Settings) -> dict[str, Any]:
    module = endpoint.answer.__module__.rpartition(".")[2]
    parts = _PART.findall(path)
    short = "" if path == endpoint.path else "_short"
    operation: dict[str, Any] = {
        "operationId": f"{endpoint.answer.__name__}{short}",
        "tags": [module],
        "summary": (inspect.getdoc(endpoint.answer) or "").partition("\n")[0],
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "integer", "minimum": 0} if kind == "row" else {"type": "string"},
            }
            for name, kind in parts
        ]
        + [
            {"name": one.name, "in": "query", "description": one.about, "schema": one.schema}
            for one in endpoint.parameters
        ],
        "responses": _responses(endpoint, by_kind, settings),
    }
    if endpoint.takes is not None:
        content: dict[str, Any] = {"application/json": {"schema": by_kind[repr(endpoint.takes)]}}
        if endpoint.form:
            content["multipart/form-data"] = {
                "schema": {
                    "type": "object",
                    "description": "the same fields; those that are no text as JSON, and pictures as files",
                    "properties": {"image": {"type": "string", "contentMediaType": "image/*"}},
                }
            }
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _responses(endpoint: Endpoint, by_kind: dict[str, Any], settings: Settings) -> dict[str, Any]:
    gives = _alternatives(endpoint.gives)
    if isinstance(gives[0], str):
        content: dict[str, Any] = {str(one): {"schema": {}} for one in gives}
    else:
        found = [by_kind[repr(one)] for one in gives]
        content = {"application/json": {"schema": found[0] if len(found) == 1 else {"anyOf": found}}}
    answers: dict[str, Any] = {"200": {"description": "the answer", "content": content}}
    usual = {400, 403, 500}
    if endpoint.takes is not None:
        usual |= {408, 413, 415, 429, 501, 503, 504}
    if settings.token:
        usual |= {401}
    refused = {TYPE: {"schema": by_kind[repr(Problem)]}}
    for status in sorted({*usual, *endpoint.statuses}):
        answers[str(status)] = {"description": HTTPStatus(status).phrase}
        if status >= 400:
            answers[str(status)]["content"] = refused
    return answers
