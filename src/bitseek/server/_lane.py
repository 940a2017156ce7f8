"""A short way for the search by code: by the same parameters and to the same answer as its route, past the framework.

Routing, dependencies and validation by FastAPI take longer than a scan of a hundred thousand codes. What is not valid
goes on to the route, which says why.
"""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from bitseek.server._answers import problem
from bitseek.server._queries import SearchByCode, search_by_code
from bitseek.server._refusal import Refusal

PATH = "/api/search"


class Lane:
    """Answers `GET /api/search`, and hands on all else.

    Args:
        app: what answers all else.
        search: gives the JSON of the answer, or raises a `Refusal`.
    """

    def __init__(self, app: ASGIApp, *, search: Callable[[SearchByCode], Awaitable[bytes]]) -> None:
        self._app = app
        self._search = search

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "GET":
            query = search_by_code(scope["query_string"])
            if query is not None:
                scope["bitseek.route"] = PATH
                try:
                    body = await self._search(query)
                except Refusal as refusal:
                    await problem(refusal)(scope, receive, send)
                    return
                headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": body})
                return
        await self._app(scope, receive, send)
