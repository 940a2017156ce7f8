"""How the service and its collection are: health, statistics, progress, metrics."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from bitseek.server._access import ServiceOf
from bitseek.server._answers import HealthAnswer, ProgressAnswer, StatisticsAnswer, json_answer, problems
from bitseek.server._metrics import TEXT
from bitseek.server._service import Service

routes = APIRouter(tags=["state"])


@routes.get("/api/health", response_model=HealthAnswer, responses=problems())
async def health(service: ServiceOf) -> Response:
    """That the service answers, and what it serves."""
    collection = service.collection
    return json_answer({"status": "ok", "items": len(collection), "generation": collection.generation})


@routes.get("/api/statistics", response_model=StatisticsAnswer, responses=problems())
async def statistics(service: ServiceOf) -> Response:
    """The collection in numbers."""
    return json_answer(await service.counts.run(service.statistics))


@routes.get("/api/progress", response_model=ProgressAnswer, responses=problems())
def progress(service: ServiceOf) -> Response:
    """How far an update is, whichever process makes it."""
    return json_answer(progress_answer(service))


def progress_answer(service: Service) -> dict[str, Any]:
    """As in `ProgressAnswer`."""
    now = service.collection.progress()
    if now is not None:
        return {"running": True} | now._asdict()
    running = service.writer.running  # it has not said anything yet
    return {
        "running": running, "done": 0, "total": 0, "rate": 0.0, "seconds_left": None, "what": service.writer.failure,
    }  # fmt: skip


@routes.get(
    "/metrics",
    response_class=Response,
    responses=problems() | {200: {"content": {"text/plain": {}}, "description": "Prometheus's text format"}},
)
def metrics(service: ServiceOf) -> Response:
    """Numbers for Prometheus."""
    return Response(service.metrics.text(), media_type=TEXT)
