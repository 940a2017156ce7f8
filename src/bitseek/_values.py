"""Typed values: immutable, checked when they are made, and refused in one sentence."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bitseek.errors import BitseekError


class Value(BaseModel):
    """A frozen pydantic model whose constructor raises `BitseekError`: which field, what was given, what is allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise BitseekError(_sentence(type(self), error)) from error


def _sentence(cls: type[BaseModel], error: ValidationError) -> str:
    """The first thing that is wrong."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return f"there is no {field!r} in {cls.__name__}; there are {', '.join(sorted(cls.model_fields))}"
    if first["type"] == "missing":
        return f"{cls.__name__} needs {field!r}, which was not given"
    prefix = f"{field} of {cls.__name__} cannot be {first['input']!r}: " if field else ""
    return prefix + reason[:1].lower() + reason[1:]
