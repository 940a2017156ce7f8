"""The type checker of the tests: an int is a float, as everywhere else in Python's typing.

jaxtyping makes three calls of one, since it binds the arguments to know the axes by their names, and asks the checker
before and after. A function whose annotations name no array has no axes: there the checker alone finds the same. That
matters where such functions are called a million times (tests/training/test_search.py: 18 s for 61).
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import _decorator

_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
_INNER = "<locals>"
_of_inner: dict[object, Callable[..., object]] = {}
_of_jaxtyping = _decorator.jaxtyped


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


def jaxtyped(*function: Any, typechecker: Any) -> Any:
    """jaxtyping's decorator, which leaves functions without arrays to the type checker."""
    if not function or not _has_no_arrays(function[0]):
        return _of_jaxtyping(*function, typechecker=typechecker)
    (unchecked,) = function
    checked = typechecker(unchecked)

    @functools.wraps(unchecked)
    def called(*args: object, **kwargs: object) -> object:
        return (unchecked if jaxtyping.config.jaxtyping_disable else checked)(*args, **kwargs)

    return called


def install() -> None:
    """Let the import hook of jaxtyping take `jaxtyped` from here; nothing that is imported already changes."""
    jaxtyping.jaxtyped = _decorator.jaxtyped = jaxtyped


def _has_no_arrays(function: Any) -> bool:
    """Whether it is a function of a module or class whose annotations are known, and none of them has axes."""
    if not inspect.isfunction(function) or _INNER in function.__qualname__:
        return False
    hints = function.__annotations__.values()
    return not any(isinstance(hint, str) or "jaxtyping" in repr(hint) for hint in hints)
