"""The parameters of a search, read in one way by every route."""

from typing import Annotated, Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bitseek.server._answers import MOST

Label = Annotated[str, Field(max_length=1000, description="only items with this label")]
Radius = Annotated[int, Field(ge=0, le=65535, description="only hits at most so many bits away")]
Code = Annotated[str, Field(pattern="^[0-9a-fA-F]+$", max_length=16384, description="a code in hexadecimal digits")]


class Search(BaseModel):
    """What is wanted of any search."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: Annotated[int, Field(ge=1, le=MOST, description="at most so many hits")] = 10
    radius: Radius | None = None
    label: Label | None = None


class SearchByCode(Search):
    """Search by a code."""

    code: Code


class SearchByImage(Search):
    """Search by an image."""

    rerank: Annotated[
        Literal["logits", "features"] | None,
        Field(description="a finer order of the nearest: by logits, or by features if the collection keeps them"),
    ] = None


def search_by_code(query_string: bytes) -> SearchByCode | None:
    """The parameters of a query string; None if they are not valid."""
    try:
        return SearchByCode.model_validate(dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)))
    except (ValidationError, ValueError):
        return None
