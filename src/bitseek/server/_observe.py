"""Every request is counted, timed and, where that tells something, logged; an error within the service becomes 500."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bitseek.server._answers import problem
from bitseek.server._logging import log
from bitseek.server._metrics import Metrics
from bitseek.server._refusal import Refusal

_SLOW = 1.0
_METHODS = frozenset(("GET", "HEAD", "POST", "DELETE", "OPTIONS"))


class Observe:
    """Outermost of all: sees the status that is sent.

    Args:
        app: what answers.
        metrics: where it is counted.
        every: whether every request is logged.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, every: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._every = every

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        status = 0

        async def send_seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        failure: Exception | None = None
        try:
            await self._app(scope, receive, send_seen)
        except Exception as error:
            failure = error
            started, status = status, 500
            if not started:
                refusal = Refusal(500, "an error within the service, which its log tells; this is a bug of bitseek")
                await problem(refusal)(scope, receive, send)
        seconds = time.perf_counter() - begin
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.request(_route(scope), method, status, seconds)
        if self._every or failure is not None or status >= 400 or seconds > _SLOW:
            self._log(scope, status, seconds, failure)

    def _log(self, scope: Scope, status: int, seconds: float, failure: Exception | None) -> None:
        client = scope.get("client")
        log(
            "request",
            level=logging.ERROR if failure else logging.WARNING if status >= 400 else logging.INFO,
            error=failure,
            method=scope["method"],
            path=scope["path"][:200],
            status=status,
            ms=round(1e3 * seconds, 2),
            client=client[0] if client else None,
        )


def _route(scope: Scope) -> str:
    """The pattern of the route that answered."""
    route = scope.get("route")
    return str(getattr(route, "path", None) or scope.get("bitseek.route", "none"))
