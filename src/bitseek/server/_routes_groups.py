"""Groups of items that are near to each other: found once an update, grouped at any radius."""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from bitseek.server._access import ServiceOf
from bitseek.server._answers import DuplicatesAnswer, item_answer, json_answer, problems
from bitseek.server._queries import Radius
from bitseek.server._service import Service

_MOST_GROUPS = 500
_MOST_ITEMS = 100

routes = APIRouter(prefix="/api", tags=["groups"])


@routes.get("/duplicates", response_model=DuplicatesAnswer, responses=problems())
async def duplicates(
    service: ServiceOf,
    radius: Annotated[Radius, Query()] = 0,
    linkage: Literal["connected", "complete"] = "connected",
    start: Annotated[int, Query(ge=0, le=2**62, description="groups to pass over")] = 0,
    limit: Annotated[int, Query(ge=0, le=_MOST_GROUPS, description="at most so many groups")] = 100,
) -> Response:
    """Groups of items at most so many bits apart, the largest first, each with its first items."""
    return json_answer(await service.counts.run(partial(_grouped, service, radius, linkage, start, limit)))


def _grouped(
    service: Service, radius: int, linkage: Literal["connected", "complete"], start: int, limit: int
) -> dict[str, Any]:
    pairs = service.near_pairs.within(radius)
    groups = pairs.groups(min(radius, pairs.radius), linkage)
    return {
        "radius": radius,
        "linkage": linkage,
        "groups": [
            {
                "distance": group.distance,
                "exact": group.exact,
                "size": len(group.ids),
                "items": [item_answer(item) for item in service.items(group.ids[:_MOST_ITEMS].tolist())],
            }
            for group in groups[start : start + limit]
        ],
        "total": len(groups),
        "histogram": pairs.histogram.tolist(),
        "radius_max": pairs.radius,
    }
