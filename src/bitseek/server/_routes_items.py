"""Items: listed, one by one, their thumbnails and their files."""

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from bitseek.collection import SIDE, Item, thumbnail_of
from bitseek.errors import BitseekError, LabelError
from bitseek.server._access import ServiceOf
from bitseek.server._answers import MOST, ItemAnswer, ItemsAnswer, item_answer, items_answer, json_answer, problems
from bitseek.server._originals import opened, pieces
from bitseek.server._pictures import media_type
from bitseek.server._queries import Label
from bitseek.server._refusal import Refusal
from bitseek.server._routes_search import ItemId
from bitseek.server._service import Service

Start = Annotated[int, Query(ge=0, le=2**62, description="items to pass over")]
Limit = Annotated[int, Query(ge=0, le=MOST, description="at most so many items")]

routes = APIRouter(prefix="/api/items", tags=["items"])


@routes.get("", response_model=ItemsAnswer, responses=problems())
def items(
    service: ServiceOf, label: Annotated[Label | None, Query()] = None, start: Start = 0, limit: Limit = 100
) -> Response:
    """Some of the items, in the order of their ids."""
    collection = service.collection
    total = len(collection) if label is None else collection.labels().get(label, 0)
    try:
        found = collection.items(label=label, start=start, limit=limit)
    except LabelError:
        found = []
    return json_answer({"total": total, "items": items_answer(found)})


@routes.get("/{number}", response_model=ItemAnswer, responses=problems(404))
def item(service: ServiceOf, number: ItemId) -> Response:
    """One item."""
    return json_answer(item_answer(service.item(number)))


@routes.get(
    "/{number}/thumbnail",
    response_class=Response,
    responses=problems(404) | {200: {"content": {"image/jpeg": {}}}, 304: {"description": "the client has it"}},
)
def thumbnail(service: ServiceOf, number: ItemId, request: Request) -> Response:
    """A JPEG of at most 256 pixels."""
    found = service.item(number)
    tag = f'"{found.hash or number}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=86400"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(_thumbnail_of(service, found), media_type="image/jpeg", headers=headers)


def _thumbnail_of(service: Service, item: Item) -> bytes:
    """What is stored, or else is made of the file by the rules for uploads: their formats, their size, their pixels.

    Raises:
        Refusal: 404.
    """
    none = Refusal(404, f"item {item.id} has no thumbnail")
    with suppress(BitseekError):
        return service.collection.thumbnail(item.id, make=False)
    if item.size > service.settings.max_bytes:
        raise none
    try:
        with opened(item, item.root) as file:
            return thumbnail_of(service.picture(file.read(item.size), min_side=SIDE).pixels)
    except Refusal as refusal:
        raise none from refusal


@routes.get(
    "/{number}/image",
    response_class=Response,
    responses=problems(404) | {200: {"content": {"image/*": {}, "application/octet-stream": {}}}},
)
def image(service: ServiceOf, number: ItemId) -> Response:
    """The file of an item, if it is still the one that was indexed."""
    found = service.item(number)
    file = opened(found, found.root)
    kind = media_type(file)
    file.seek(0)
    headers = {
        "Content-Length": str(found.size),
        "Content-Disposition": "inline" if kind else f'attachment; filename="item-{number}"',
    }
    return StreamingResponse(pieces(file, found.size), media_type=kind or "application/octet-stream", headers=headers)
