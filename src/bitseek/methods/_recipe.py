"""Recipes: the hyper-parameters of a method, their ranges, and the published values as defaults."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
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
from bitseek.errors import BitseekError

T = TypeVar("T")

Augment = Literal["none", "flip", "crop", "resized-crop", "jitter", "views", "weak-views"]
Optimiser = Literal["adam", "sgd", "rmsprop"]

BatchSize = Annotated[int, Field(ge=2)]
Share = Annotated[float, Field(gt=0, le=1)]
Width = Annotated[int, Field(ge=0, le=65_536)]
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


def _ascending(lengths: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(lengths)))


Shares = Annotated[tuple[Share, ...], BeforeValidator(_as_tuple)]
Zeta = Annotated[float, Field(ge=-1, le=1)] | Literal["spread"]
Lengths = Annotated[tuple[PositiveInt, ...], BeforeValidator(_as_tuple), AfterValidator(_ascending)]
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
    contrastive learning), `weak-views` (the same changes, each half as often)."""

    standardise: bool = False
    """Whether the head sees each feature less its mean, divided by its deviation (1e-5 is added to the variance): those
    of the batch in training, afterwards of the last epoch. For features that share a large offset, or are of different
    scales."""
    hidden: Width = 0
    """Width of a hidden layer with ReLU in front of the head; 0 for none."""
    dropout: DropoutShare = 0.0
    """Share of the features dropped in training in front of that layer; without one it does nothing."""

    lengths: Lengths = ()
    """Nested codes: for each of these lengths, in bits, the first so many bits are trained to be a code in their own
    right (NHL); empty (`none`) for one length. The whole code is one of them whether it is named or not."""

    length_distillation: NonNegativeFloat = 0.0
    """λ of nested codes: each length learns the cosines between the items of a batch from the next longer one."""
    length_weights: Literal["equal", "dominance"] = "equal"
    """Of nested codes: `equal`, or `dominance`: a longer one counts less where it pulls against a shorter one."""
    second_view: NonNegativeFloat = 0.0
    """Weight of 1 − cos between the code of an image and that of a second, strongly changed view, which learns from
    the first (DHD)."""
    second_augment: Augment = "views"
    """Augmentation of that view."""
    strangers: NonNegativeFloat = 0.0
    """β, weight of max(cos − ζ, 0) for pairs of items with several classes each and none in common (HyP²)."""
    zeta: Zeta = "spread"
    """ζ, the cosine below which nothing is pushed apart; `spread` for that of the two nearest codewords of the codebook
    of this name, 1 − 2 d / K."""

    def nested(self, bits: int) -> tuple[int, ...]:
        """All lengths of nested codes of K bits, ascending, the last is K; `(K,)` for codes that are not nested.

        Raises:
            BitseekError: one of them is longer than K.
        """
        if max(self.lengths, default=0) > bits:
            raise BitseekError(
                f"lengths={self.lengths} of nested codes are prefixes of a code of {bits} bits; "
                f"{self.lengths[-1]} is longer: take more bits or leave it out"
            )
        return (*(length for length in self.lengths if length < bits), bits)

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


def for_heads(**values: Any) -> Mapping[str, Any]:
    """Hyper-parameters of a head on features that do not change: what a method has as its `head_recipe`."""
    return MappingProxyType(values)


HEAD_RECIPE = for_heads(
    epochs=30,
    batch_size=256,
    optimiser="adam",
    lr=1e-3,
    weight_decay=5e-4,
    drop_at=(0.8,),
    drop_by=0.1,
    augment="none",
)
"""Defaults where only a head is trained, on features that do not change, whatever the method; a method may have others
of its own (`Method.head_recipe`). A single layer bears a higher rate than a network and is done in fewer epochs, and
small batches only cost time. docs/auto.md says on what they were chosen."""
