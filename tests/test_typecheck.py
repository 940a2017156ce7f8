"""The checks of types that run beside the other tests: they find what is wrong, with arrays and without."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import typecheck
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Float32, TypeCheckError

from bitseek.codebooks import make_codebook

WRONG = (BeartypeCallHintViolation, TypeCheckError)


def checked(decorated: Any) -> Any:
    return typecheck.jaxtyped(decorated, typechecker=typecheck.check)


@checked
def half(number: float, wrongly: bool = False) -> float:
    return "half" if wrongly else number / 2  # type: ignore[return-value]


@checked
def sums(
    a: Float32[np.ndarray, " n"], b: Float32[np.ndarray, " n"], wrongly: bool = False
) -> Float32[np.ndarray, " n"]:
    return (a + b)[wrongly:]


@checked
@dataclass
class Doubled:
    number: float

    @checked
    def again(self, times: int) -> float:
        return self.number * 2**times

    @checked
    @classmethod
    def of(cls, number: float) -> "Doubled":
        return cls(number * 2)

    @checked
    @property
    def text(self) -> str:
        return self.number  # type: ignore[return-value]


def zeros(count: int) -> Float32[np.ndarray, " count"]:
    return np.zeros(count, np.float32)


def test_what_fits_passes():
    assert half(3) == 1.5  # an int is a float
    assert sums(zeros(2), zeros(2)).shape == (2,)
    assert Doubled.of(2).again(1) == 8


@pytest.mark.parametrize(
    "call",
    [
        lambda: half("3"),
        lambda: half(3, wrongly=True),
        lambda: sums(zeros(2), zeros(3)),
        lambda: sums(zeros(2), zeros(2).astype(float)),
        lambda: sums(zeros(2), zeros(2), wrongly=True),
        lambda: Doubled("2"),  # type: ignore[arg-type]
        lambda: Doubled(2).again(0.5),
        lambda: Doubled.of("2"),
        lambda: Doubled(2).text,
    ],
)
def test_what_does_not_fit_is_found(call):
    with pytest.raises(WRONG):
        call()


def test_they_can_be_left_out(unchecked):
    assert half(3, wrongly=True) == "half"
    assert sums(zeros(2), zeros(2), wrongly=True).shape == (1,)


def test_the_package_is_checked(request):
    if not request.config.getoption("--jaxtyping-packages"):
        pytest.skip("run without --jaxtyping-packages")
    with pytest.raises(BeartypeCallHintViolation):
        make_codebook("hadamard", "10", 16)  # type: ignore[arg-type]
