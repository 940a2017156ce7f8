"""Recipes: the hyper-parameters of a method, their ranges, and the published values as defaults."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
)

from bitseek._values import Value
from bitseek.codebooks import ALIASES, CODEBOOKS

T = TypeVar("T")

Augment = Literal["none", "flip", "crop", "resized-crop", "jitter", "views"]
Optimiser = Literal["adam", "sgd", "rmsprop"]

BatchSize = Annotated[int, Field(ge=2)]
Share = Annotated[float, Field(gt=0, le=1)]
DropoutShare = Annotated[float, Field(ge=0, lt=1)]
OrNone = Annotated[T | None, BeforeValidator(lambda value: None if value == "none" else value)]
"""A value or None, which a command line spells `none`."""


def _as_tuple(value: Any) -> Any:
    """`"0.5,0.8"`, one number, or nothing (None, `"none"`) as a sequence."""
    if isinstance(value, str):
        value = [] if value == "none" else [part for part in value.strip("()[]").split(",") if part.strip()]
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def _codebook_name(name: str) -> str:
    if ALIASES.get(name, name) not in CODEBOOKS:
        raise ValueError(f"a codebook is {', '.join(CODEBOOKS)}, or a letter {', '.join(ALIASES)}")
    return ALIASES.get(name, name)


Shares = Annotated[tuple[Share, ...], BeforeValidator(_as_tuple)]
CodebookName = Annotated[str, AfterValidator(_codebook_name)]


class Recipe(Value):
    """Hyper-parameters. A method adds its own in a subclass, and redeclares those of which its published values differ.

    Text from a command line is read as the type of the field. `model_fields[name].description` says what one means.
    """

    model_config = ConfigDict(use_attribute_docstrings=True, validate_default=True)

    epochs: PositiveInt = 100
    """Passes over the training set."""
    batch_size: BatchSize = 256
    """Items of a step; at least 2, because batch norm and every comparison need two."""
    optimiser: Optimiser = "adam"
    """`adam`, `sgd` (momentum 0.9) or `rmsprop`."""
    lr: PositiveFloat = 1e-4
    """Learning rate of the head and of all other parameters of the method."""
    backbone_lr: NonNegativeFloat = 0.1
    """Learning rate of the backbone, as a multiple of `lr`; 0 keeps the backbone as it is."""
    weight_decay: NonNegativeFloat = 5e-4
    """L2 penalty inside the optimiser."""
    drop_at: Shares = (0.8,)
    """Shares of the epochs at each of which the learning rate is multiplied by `drop_by`; one number, or several;
    empty (`none`) for a constant rate."""
    drop_by: Share = 0.1
    """Factor of the learning rate at each of `drop_at`."""
    augment: Augment = "flip"
    """Augmentation of training images: `none`, `flip`, `crop` (random crop and flip), `resized-crop` (random scale,
    ratio and flip), `jitter` (flip, brightness and contrast by 5 %), `views` (the strong augmentation of
    contrastive learning)."""

    @field_validator("*", mode="wrap")
    @classmethod
    def _one_message(cls, value: Any, validate: Callable[[Any], Any]) -> Any:
        """One error a field, where pydantic has one for each member of a union and of a tuple."""
        try:
            return validate(value)
        except ValidationError as error:
            messages = (each["msg"].removeprefix("Value error, ") for each in error.errors())
            raise ValueError(", or ".join(dict.fromkeys(text[:1].lower() + text[1:] for text in messages))) from error

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """A field with a default of its own keeps the description that its parent has."""
        parent: Any = cls.__bases__[0]
        for name, field in cls.model_fields.items():
            field.description = field.description or parent.model_fields.get(name, field).description
