"""Read what a request asks for, or say in problem details what is wrong with it."""

from __future__ import annotations

from retrieval.server.api.requests.bodies import (
    decoded_base64 as decoded_base64,
    read_form as read_form,
    read_json as read_json,
)
from retrieval.server.api.requests.parameters import number_parameter as number_parameter, only as only
from retrieval.server.api.requests.problems import (
    TYPE as TYPE,
    Problem as Problem,
    Refused as Refused,
    problem as problem,
    problem_content as problem_content,
    problem_of as problem_of,
)
from retrieval.server.api.requests.schema import (
    DownloadRequest as DownloadRequest,
    Part as Part,
    Search as Search,
    SearchRequest as SearchRequest,
)
