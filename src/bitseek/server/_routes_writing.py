"""What changes the collection, for who has the owner's token."""

from functools import partial

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from bitseek.server._access import ServiceOf, writer
from bitseek.server._answers import ItemAnswer, ProgressAnswer, item_answer, json_answer, problems
from bitseek.server._refusal import Refusal
from bitseek.server._routes_search import FORM, ItemId
from bitseek.server._routes_state import progress_answer
from bitseek.server._uploads import uploaded_image

routes = APIRouter(prefix="/api", tags=["changes"], dependencies=[Depends(writer)])


@routes.post(
    "/images",
    status_code=201,
    response_model=ItemAnswer,
    responses=problems(401, 408, 409, 413, 415),
    openapi_extra=FORM,
)
async def add(service: ServiceOf, request: Request) -> Response:
    """Write an image into the folder that the owner named for it, and index it; the same one again changes nothing."""
    settings = service.settings
    if settings.add_to is None:
        raise Refusal(403, "images cannot be added here; the owner can name a folder for them (--add-to)")
    await service.model.encoder()  # which indexing it needs
    data = await uploaded_image(request, service.uploads, max_bytes=settings.max_bytes, timeout=settings.timeout)
    checked = await service.decoders.run(partial(service.picture, data))
    found = await service.changes.run(partial(service.writer.add, data, checked.format))
    return json_answer(item_answer(found), 201)


@routes.delete("/items/{number}", status_code=204, response_class=Response, responses=problems(401, 404))
async def remove(service: ServiceOf, number: ItemId) -> Response:
    """Take an item out of the collection, for good; its file stays where it is."""
    service.item(number)
    await service.changes.run(partial(service.writer.remove, number))
    return Response(status_code=204)


@routes.post("/update", status_code=202, response_model=ProgressAnswer, responses=problems(401))
def update(service: ServiceOf) -> Response:
    """Look for what changed in the folders of the collection, in the background; see `/api/progress`."""
    service.writer.start_update()
    return json_answer(progress_answer(service), 202)
