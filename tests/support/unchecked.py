"""Functions as users have them: without the type checks that a test run puts around every function of the package."""

import functools
import inspect


def unchecked(function):
    """The bare function or bound method, which must say by itself what is wrong with what it is given."""
    bare = inspect.unwrap(getattr(function, "__func__", function))
    return functools.partial(bare, function.__self__) if hasattr(function, "__self__") else bare
