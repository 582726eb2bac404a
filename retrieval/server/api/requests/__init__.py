"""Read what a request asks for, or say in problem details what is wrong with it."""

from __future__ import annotations

from retrieval.server.api.requests.bodies import decoded_base64, read_form, read_json
from retrieval.server.api.requests.parameters import number_parameter, only
from retrieval.server.api.requests.problems import (
    TYPE,
    Problem,
    Refused,
    problem,
    problem_content,
    problem_of,
)
from retrieval.server.api.requests.schema import DownloadRequest, Part, Search, SearchRequest

__all__ = [
    "TYPE",
    "DownloadRequest",
    "Part",
    "Problem",
    "Refused",
    "Search",
    "SearchRequest",
    "decoded_base64",
    "number_parameter",
    "only",
    "problem",
    "problem_content",
    "problem_of",
    "read_form",
    "read_json",
]
