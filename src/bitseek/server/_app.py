"""The application: every route, behind every guard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from bitseek import __version__
from bitseek.collection import Collection
from bitseek.errors import UnsupportedError
from bitseek.server import _routes_groups, _routes_items, _routes_map, _routes_search, _routes_state, _routes_writing
from bitseek.server._answers import problem
from bitseek.server._guard import Guard
from bitseek.server._lane import Lane
from bitseek.server._limits import Rating
from bitseek.server._metrics import Metrics
from bitseek.server._observe import Observe
from bitseek.server._page import page_routes
from bitseek.server._queries import SearchByCode
from bitseek.server._refusal import Refusal
from bitseek.server._service import Service
from bitseek.server._settings import Settings


def create_app(collection: Collection, settings: Settings | None = None) -> FastAPI:
    """The service of a collection, as an ASGI application.

    Args:
        collection: open; it stays open, and is its caller's to close.
        settings: what the owner allows; `Settings()` if None.

    Returns:
        An application whose life begins and ends with its server's (ASGI lifespan).
    """
    chosen = settings or Settings()
    metrics = Metrics()
    service = Service(collection, chosen, metrics)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            with suppress(asyncio.CancelledError):  # of a server that is told to end at once
                yield
        finally:
            service.stop()

    app = FastAPI(
        title="bitseek",
        version=__version__,
        summary="Finds the images of a collection that look alike.",
        openapi_url="/api/openapi.json",
        docs_url=None,  # its page loads scripts from another host
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # nothing is told to other programs
        lifespan=life,
    )
    app.state.service = service
    for module in (_routes_search, _routes_items, _routes_groups, _routes_map, _routes_state, _routes_writing):
        app.include_router(module.routes)
    app.include_router(page_routes())
    for error in (Refusal, RequestValidationError, HTTPException, UnsupportedError):
        app.add_exception_handler(error, _refuse)

    async def search(query: SearchByCode) -> bytes:
        return await service.search_code(query, query.code)

    app.add_middleware(Lane, search=search)  # the last one is outermost
    app.add_middleware(Rating, rates=service.rates)
    app.add_middleware(Guard, host=chosen.host, allowed=chosen.allowed_hosts)
    app.add_middleware(Observe, metrics=metrics, every=chosen.log_requests)
    return app


async def _refuse(_: Request, error: Exception) -> Response:
    """Whatever is wrong with a request, as a status and a sentence."""
    if isinstance(error, Refusal):
        return problem(error)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return problem(Refusal(422, f"{where}: {first['msg']}" if where else str(first["msg"])))
    if isinstance(error, HTTPException):
        sentence = "there is nothing at this address" if error.status_code == 404 else str(error.detail)
        return problem(Refusal(error.status_code, sentence, error.headers))
    if isinstance(error, UnsupportedError):
        return problem(Refusal(422, str(error)))
    raise error
