"""What the service answers, as types of its OpenAPI description and as JSON; never a path of the server's disk."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from bitseek.collection import Hit, Item
from bitseek.images import printable
from bitseek.server._refusal import Refusal

MOST = 1000
"""The largest k, and the most items of one page of a listing."""


class Answer(BaseModel):
    """An answer of the service."""

    model_config = ConfigDict(extra="forbid")


class ProblemAnswer(Answer):
    """Why a request was not answered."""

    model_config = ConfigDict(title="Problem")
    detail: str


class HealthAnswer(Answer):
    """The service works."""

    model_config = ConfigDict(title="Health")
    status: Literal["ok"]
    items: int
    generation: Annotated[int, Field(description="number of the last update that the answer takes into account")]


class ItemAnswer(Answer):
    """An image of the collection."""

    model_config = ConfigDict(title="Item")
    id: int
    name: Annotated[str, Field(description="path below its folder, with what cannot be printed as escapes")]
    folder: Annotated[str, Field(description="name of the folder that was indexed")]
    label: str | None
    width: Annotated[int, Field(description="pixels, upright; 0 if unknown")]
    height: int
    size: Annotated[int, Field(description="bytes of the file")]
    modified: datetime
    code: Annotated[str, Field(description="hexadecimal, the first bit highest in the first digit")]


class ItemsAnswer(Answer):
    """A page of a listing."""

    model_config = ConfigDict(title="Items")
    total: int
    items: list[ItemAnswer]


class HitAnswer(Answer):
    """An item that a search found."""

    model_config = ConfigDict(title="Hit")
    distance: Annotated[int, Field(description="Hamming distance, bits")]
    score: float | None
    item: ItemAnswer


class ResultAnswer(Answer):
    """What a search found, nearest first."""

    model_config = ConfigDict(title="Result")
    code: Annotated[str, Field(description="of the query")]
    bits: int
    generation: int
    recall: Annotated[float | None, Field(description="share of the exact hits, as measured; null if all are found")]
    hits: list[HitAnswer]


class GroupAnswer(Answer):
    """Items that are near to each other."""

    model_config = ConfigDict(title="Group")
    distance: Annotated[int, Field(description="the largest within the group")]
    exact: Annotated[bool, Field(description="whether all files are the same, byte for byte")]
    size: Annotated[int, Field(description="number of its items, of which the first are listed")]
    items: list[ItemAnswer]


class DuplicatesAnswer(Answer):
    """Groups of near items, and how many pairs there are at each distance."""

    model_config = ConfigDict(title="Duplicates")
    radius: int
    linkage: Literal["connected", "complete"]
    groups: list[GroupAnswer]
    total: Annotated[int, Field(description="number of groups, of which the first are listed")]
    histogram: list[int]
    radius_max: int


class StatisticsAnswer(Answer):
    """The collection in numbers."""

    model_config = ConfigDict(title="Statistics")
    items: int
    bits: int
    labels: dict[str, int]
    fingerprint: str
    ignored: Annotated[int, Field(description="files that could not be read, or were removed")]
    bytes: dict[str, int]
    generation: int
    bit_balance: Annotated[list[float], Field(description="share of ones at each bit")]


class MapAnswer(Answer):
    """Whether there is a map of the items."""

    model_config = ConfigDict(title="Map")
    ready: bool
    count: Annotated[int, Field(description="items on the map; those of the collection while there is none")]
    version: Annotated[str | None, Field(description="of the points and their labels, to ask for the points")]
    labels: Annotated[list[str | None], Field(description="by their numbers in the points")]


class ProgressAnswer(Answer):
    """What an update does now."""

    model_config = ConfigDict(title="Progress")
    running: bool
    done: int
    total: int
    rate: Annotated[float, Field(description="items a second")]
    seconds_left: float | None
    what: Annotated[str, Field(description="why the last update failed, if it did")]


def item_answer(item: Item) -> dict[str, Any]:
    """An item as in `ItemAnswer`."""
    modified = datetime.fromtimestamp(item.mtime_ns / 1e9, UTC)
    name, folder = _place(item)
    return {
        "id": item.id,
        "name": _shown(name),
        "folder": _shown(folder),
        "label": item.label,
        "width": item.width,
        "height": item.height,
        "size": item.size,
        "modified": modified.isoformat(timespec="milliseconds"),
        "code": item.code,
    }


def _place(item: Item) -> tuple[str, str]:
    """The path below the folder that was indexed, and its name.

    Paths that were imported from anywhere have the top of the disk for their folder; of them the last name is told.
    """
    folder = item.root.rstrip("/\\").rpartition(os.sep)[2]
    if os.path.dirname(item.root) == item.root:  # noqa: PTH120  # a path object would be made for every item
        return item.path.rpartition(os.sep)[2], ""
    return item.path[len(item.root) :].lstrip("/\\"), folder


def _shown(name: str) -> str:
    return name if name.isprintable() else printable(name)


def items_answer(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Items as in `ItemAnswer`."""
    return [item_answer(item) for item in items]


def result_answer(code: str, bits: int, generation: int, hits: Iterable[Hit], recall: float | None = None) -> bytes:
    """JSON of a `ResultAnswer`."""
    found = [{"distance": hit.distance, "score": hit.score, "item": item_answer(hit.item)} for hit in hits]
    return orjson.dumps({"code": code, "bits": bits, "generation": generation, "recall": recall, "hits": found})


def json_answer(content: object, status: int = 200) -> Response:
    """An answer that is JSON, or bytes that are already."""
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return Response(body, status, media_type="application/json")


def problem(refusal: Refusal) -> Response:
    """A refusal as `ProblemAnswer`; the connection ends where the rest of the request may not have been read."""
    answer = json_answer({"detail": refusal.sentence}, refusal.status)
    if refusal.status in _UNREAD:
        answer.headers["connection"] = "close"
    answer.headers.update(refusal.headers)
    return answer


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's description: it may answer a `ProblemAnswer` with these, and those that any route may give."""
    return {
        status: {"model": ProblemAnswer, "description": _REASONS[status]}
        for status in (*statuses, 400, 403, 422, 429, 503)
    }


_UNREAD = frozenset((400, 401, 403, 408, 413, 415, 429))
_REASONS = {
    400: "the request is damaged, or calls the service by a foreign name",
    401: "no token, or a wrong one",
    403: "not allowed here, or from the page of another site",
    404: "there is no such item",
    408: "the upload took too long",
    409: "the image was removed before",
    413: "too large",
    415: "not a form, or not an image",
    422: "a parameter or an image cannot be used",
    429: "too many requests",
    503: "busy; try again",
}
