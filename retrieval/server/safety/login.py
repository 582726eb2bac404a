"""Ask for the token once, and give a cookie for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from retrieval.render import LOOK
from retrieval.server.api import Refused, problem
from retrieval.server.safety.headers import login_policy

if TYPE_CHECKING:
    from starlette.requests import Request

    from retrieval.server import Settings
    from retrieval.server.safety.tokens import Door

_FORM: Final = "application/x-www-form-urlencoded"

_STYLE: Final = (
    LOOK
    + """
:root { --on-mark: #fff; }
@media (prefers-color-scheme: dark) { :root { --on-mark: #1b110b; } }
body { display: grid; place-items: center; min-height: 100vh; padding: 24px; }
form { display: grid; gap: 14px; width: min(340px, 86vw); padding-bottom: 12vh; }
h1 { font-size: 22px; }
p { color: var(--soft); }
input, button { font: inherit; font-size: 16px; min-height: 46px; padding: 0 14px; border-radius: 12px; color: inherit; }
input { border: 1px solid var(--line); background: var(--raised); }
button { border: 0; background: var(--mark); color: var(--on-mark); cursor: pointer; }
.wrong { color: var(--mark); }
"""
)

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
    headers = {
        "Content-Security-Policy": login_policy(_STYLE),
        "Referrer-Policy": "same-origin",  # without a referrer, a browser calls the form's origin null
    }
    return HTMLResponse(page, 401, headers=headers)


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
        answer: Response = (
            RedirectResponse(_back(request, settings), 303) if form else Response(status_code=204)
        )
        answer.headers["Set-Cookie"] = door.cookie(secure=request.url.scheme == "https")
        return answer

    async def end(request: Request) -> Response:
        door.end_session(request.headers)
        answer = Response(status_code=204)
        answer.headers["Set-Cookie"] = door.cookie(secure=request.url.scheme == "https", ends=True)
        return answer

    return [Route("/session", begin, methods=["POST"]), Route("/session", end, methods=["DELETE"])]


def _back(request: Request, settings: Settings) -> str:
    """Return the address of the page that asked for the token, with its query."""
    asked = urlsplit(request.headers.get("referer", ""))
    page = f"{settings.prefix}/"
    if asked.netloc == request.headers.get("host") and asked.path == page and asked.query:
        return f"{page}?{asked.query}"
    return page


async def _token(request: Request, *, form: bool) -> str:
    data = await request.body()
    try:
        if form:
            return parse_qs(data.decode(), max_num_fields=4)["token"][0].strip()
        return msgspec.json.decode(data, type=_Login).token
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, ValueError) as error:
        raise Refused(400, 'give {"token": "…"}') from error
