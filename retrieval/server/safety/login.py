"""Ask for the token once, and give a cookie for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

import msgspec
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from retrieval.server.api import Refused, problem
from retrieval.server.safety.headers import login_policy

if TYPE_CHECKING:
    from starlette.requests import Request

    from retrieval.server import Settings
    from retrieval.server.safety.tokens import Door

__all__ = ["login_page", "session_routes"]

_FORM: Final = "application/x-www-form-urlencoded"

_STYLE: Final = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{min-height:90vh;margin:0;display:grid;place-items:center}
form{display:grid;gap:.75rem;width:min(22rem,86vw)}
h1{font-size:1.2rem;font-weight:600;margin:0}
p{margin:0;opacity:.75}
input,button{font:inherit;padding:.6rem .8rem;border-radius:.5rem;border:1px solid #8888}
button{cursor:pointer;background:CanvasText;color:Canvas;border-color:transparent}
.wrong{color:#c62828;opacity:1}
@media (prefers-color-scheme:dark){.wrong{color:#ff8a80}}
"""

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><title>Token</title><style>{style}</style></head>
<body><main><form method="post" action="{action}">
<h1><label for="token">This server asks for its token</label></h1>
{told}
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Open</button>
</form></main></body></html>
"""


class _Login(msgspec.Struct, forbid_unknown_fields=True):
    token: str


def login_page(settings: Settings, *, wrong: bool = False) -> Response:
    """Answer with the form that asks for the token."""
    told = (
        '<p class="wrong" role="alert">This is not the token.</p>'
        if wrong
        else "<p>It was shown when the server started.</p>"
    )
    page = _PAGE.format(style=_STYLE, action=f"{settings.prefix}/session", told=told)
    return HTMLResponse(page, 401, headers={"Content-Security-Policy": login_policy(_STYLE)})


def session_routes(settings: Settings, door: Door) -> list[Route]:
    """Return the routes that begin and end a session."""

    async def begin(request: Request) -> Response:
        form = request.headers.get("content-type", "").startswith(_FORM)
        try:
            token = await _token(request, form=form)
        except Refused as refused:
            return problem(refused.status, str(refused))
        if not door.knows(token):
            return login_page(settings, wrong=True) if form else problem(401, "this is not the token")
        answer: Response = RedirectResponse(f"{settings.prefix}/", 303) if form else Response(status_code=204)
        answer.headers["Set-Cookie"] = door.cookie(secure=request.url.scheme == "https")
        return answer

    async def end(request: Request) -> Response:
        answer = Response(status_code=204)
        answer.headers["Set-Cookie"] = door.cookie(secure=request.url.scheme == "https", ends=True)
        return answer

    return [Route("/session", begin, methods=["POST"]), Route("/session", end, methods=["DELETE"])]


async def _token(request: Request, *, form: bool) -> str:
    data = await request.body()
    try:
        if form:
            return parse_qs(data.decode(), max_num_fields=4)["token"][0].strip()
        return msgspec.json.decode(data, type=_Login).token
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, ValueError) as error:
        raise Refused(400, 'give {"token": "…"}') from error
