"""Arguments that several commands have, and their values as the library takes them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from cyclopts import Parameter, Token, convert

from bitseek.errors import BitseekError

Flag = Annotated[bool, Parameter(negative="")]
Json = Annotated[bool, Parameter(negative="", help="print the result as JSON")]
Files = Annotated[list[Path], Parameter(negative_iterable="")]
Settings = Annotated[tuple[str, ...], Parameter(negative_iterable="", consume_multiple=True)]
Recipe = Annotated[Settings, Parameter(name="--set")]
CutOff = Annotated[int | Literal["all", "protocol"], Parameter(name=("-k", "--k"))]
Denominator = Literal["retrieved", "relevant", "min"]
Ties = Literal["expected", "best", "worst", "stable"]
NoHit = Literal["zero", "skip"]


def converted(type_: Any, tokens: Sequence[Token]) -> Any:
    """A value of a type; cyclopts would round 2.6 where a whole number is asked for."""
    if int in (type_, *get_args(type_)) and (wrong := [token.value for token in tokens if "." in token.value]):
        raise ValueError(f"a whole number is expected, got {', '.join(wrong)}.")
    return convert(type_, tokens)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Compute:
    """Where and how it is computed.

    Attributes:
        device: cpu, cuda, cuda:1, mps or auto.
        threads: how many threads decode and encode images.
    """

    device: str = "auto"
    threads: int | None = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Data:
    """Where the data are.

    Attributes:
        root: folder of the data; by default the variable BITSEEK_DATA, or a folder of your own. Of a run on folder:PATH
            or features:FILE, where that is now.
        protocol_set: options of the protocol, NAME=VALUE; `bitseek protocols NAME` lists them.
    """

    root: Path | None = None
    protocol_set: Settings = ()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Network:
    """The backbone.

    Attributes:
        weights: of the backbone: a FILE (safetensors or state dict), pretrained (downloads), none, or auto.
        size: side of the backbone's input in pixels.
        backbone_set: pixels (crop, interpolation, mean, std) and further options of the backbone, NAME=VALUE.
    """

    weights: str = "auto"
    size: int | None = None
    backbone_set: Settings = ()


COMPUTE, DATA, NETWORK = Compute(), Data(), Network()


def given(*groups: object) -> dict[str, Any]:
    """The options of some groups that have a value, by name, without the NAME=VALUE pairs."""
    values = [item for group in groups for item in vars(group).items()]
    return {name: value for name, value in values if value is not None and not isinstance(value, tuple)}


def settings(pairs: Iterable[str]) -> dict[str, str]:
    """NAME=VALUE pairs as a dictionary."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BitseekError(f"a setting is NAME=VALUE, got {pair!r}")
        found[name.replace("-", "_")] = value
    return found


def literals(pairs: Iterable[str]) -> dict[str, Any]:
    """NAME=VALUE pairs as a dictionary, with numbers, truth values and lists where a value looks like one."""

    def value_of(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return text

    return {name: value_of(text) for name, text in settings(pairs).items()}
