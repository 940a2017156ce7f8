"""The map: a place in the plane for each item."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from bitseek.server._access import ServiceOf
from bitseek.server._answers import MapAnswer, json_answer, problems
from bitseek.server._refusal import Refusal

routes = APIRouter(prefix="/api/map", tags=["map"])

_RECORDS = "application/octet-stream"
_RECORD_BYTES = 16

Version = Annotated[str | None, Query(description="refuse any other; as in `/api/map`")]


@routes.get("", response_model=MapAnswer, responses=problems())
async def map_(service: ServiceOf) -> Response:
    """Whether there is a map, of how many items, and their labels; asking for it has it made."""
    items = len(service.collection)
    found = await service.counts.run(service.map.points) if items else None
    if found is None:
        return json_answer({"ready": False, "count": items, "version": None, "labels": []})
    count = len(found.records) // _RECORD_BYTES
    return json_answer({"ready": True, "count": count, "version": found.version, "labels": found.labels})


@routes.get(
    "/points",
    response_class=Response,
    responses=problems(404)
    | {200: {"content": {_RECORDS: {}}, "description": "x, y (float32), id, label (int32), little-endian, each item"}},
)
async def points(service: ServiceOf, version: Version = None) -> Response:
    """The places; `/api/map` has the labels of a version by their numbers."""
    found = await service.counts.run(service.map.points)
    if found is None:
        raise Refusal(404, "there is no map yet; /api/map says when it is ready")
    if version not in (None, found.version):
        raise Refusal(404, "the map has been made anew since; ask /api/map again")
    return Response(found.records, media_type=_RECORDS)
