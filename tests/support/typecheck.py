"""The type checker of the tests: an int is a float, as everywhere else in Python's typing."""

from collections.abc import Callable

from beartype import BeartypeConf, beartype

_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
_INNER = "<locals>"
_of_inner: dict[object, Callable[..., object]] = {}


def check(function: Callable[..., object]) -> Callable[..., object]:
    """A function that checks its arguments; for a function within another, it is made once.

    jaxtyping gives functions without a body, one whenever one of ours is defined: an inner function with each call of
    the outer one. To write and compile the check of it takes longer than most of these calls.
    """
    code, types = function.__code__, repr(function.__annotations__)
    if _INNER not in function.__qualname__ or _INNER in types:
        return _checked(function)
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    key = function.__module__, function.__qualname__, code.co_varnames, counts, types
    if key not in _of_inner:
        _of_inner[key] = _checked(function)
    return _of_inner[key]
