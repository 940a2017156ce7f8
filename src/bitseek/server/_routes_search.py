"""Search by a code, by an item, and by an image."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from bitseek.server._access import ServiceOf
from bitseek.server._answers import ResultAnswer, json_answer, problems
from bitseek.server._lane import PATH
from bitseek.server._queries import Search, SearchByCode, SearchByImage
from bitseek.server._uploads import FIELD, uploaded_image

ItemId = Annotated[int, Path(ge=0, le=2**62, description="id of an item")]

FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {FIELD: {"type": "string", "format": "binary", "description": "an image file"}},
                    "required": [FIELD],
                }
            }
        },
    }
}
"""Description of an upload, which is read by `_uploads` and not by the framework."""

routes = APIRouter(prefix="/api", tags=["search"])


@routes.get(PATH.removeprefix("/api"), response_model=ResultAnswer, responses=problems())
async def by_code(service: ServiceOf, search: Annotated[SearchByCode, Query()]) -> Response:
    """The items whose codes are nearest to a code, ties to the lowest id."""
    return json_answer(await service.search_code(search, search.code))


@routes.post(
    PATH.removeprefix("/api"), response_model=ResultAnswer, responses=problems(408, 413, 415), openapi_extra=FORM
)
async def by_image(service: ServiceOf, request: Request, search: Annotated[SearchByImage, Query()]) -> Response:
    """The items that look most like an image, which is neither kept nor written to the disk."""
    settings = service.settings
    encoder = await service.model.encoder()  # before the upload, so that who waits holds no memory
    data = await uploaded_image(request, service.uploads, max_bytes=settings.max_bytes, timeout=settings.timeout)
    return json_answer(await service.search_image(search, data, encoder, search.rerank))


@routes.get("/items/{number}/similar", response_model=ResultAnswer, responses=problems(404))
async def by_item(service: ServiceOf, number: ItemId, search: Annotated[Search, Query()]) -> Response:
    """The items that look most like an item, itself among them."""
    return json_answer(await service.search_code(search, service.item(number).code))
