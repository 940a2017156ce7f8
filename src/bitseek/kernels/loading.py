"""When the compiled kernels are worth loading: NumPy answers the first few searches of a process sooner.

To import numba and load one kernel from its cache takes a second or more; in NumPy one query looks at ten million
codes of 64 bits in 30 ms. So a process that searches once, such as a command, never loads them, and one that goes on
searching does as soon as NumPy has taken about as long as loading takes: at worst it waits twice.
"""

import sys
import threading

WORTH_LOADING = 200_000_000
"""Words of codes that NumPy compares in the time that loading takes: half a second, on a quick machine."""

_PER_QUERY = 10_000
"""Words that NumPy compares in the time that it takes to begin with a query."""

_lock = threading.Lock()
_compared = 0


def numpy_suffices(queries: int, words: int) -> bool:
    """Whether a search that compares each query with `words` words of codes is better done in NumPy (`plain`).

    It is then counted. Not so where something has loaded the kernels already.
    """
    global _compared
    if "bitseek.kernels.jit" in sys.modules:
        return False
    work = queries * (words + _PER_QUERY)
    with _lock:
        if _compared + work > WORTH_LOADING:
            return False
        _compared += work
        return True
