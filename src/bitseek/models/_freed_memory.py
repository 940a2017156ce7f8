"""What a network frees stays with the process.

glibc gives every block of more than some megabytes back to the kernel at once and asks for it again for the next layer,
and the kernel fills each of its pages with zeros: of MobileNetV2's forward pass at 96 px that is half of the time
(benchmarks/freed_memory.py). Other allocators (jemalloc, tcmalloc, those of macOS and Windows) are not touched.
"""

import ctypes
import os
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # M_* in malloc.h
_LARGEST_BLOCK, _KEPT_FREE = 1 << 30, (1 << 31) - 1
_LARGEST_BEFORE_2_35 = 32 << 20


@cache
def keep_freed_memory() -> bool:
    """Let glibc keep freed blocks of up to 1 GiB for what comes next, and give the end of its heap back beyond 2 GiB.

    Once for the whole process. The greatest use of memory stays what it is; less of it is given back afterwards.
    Threads that start from now on share one heap: those of their own, of 64 MiB each, are given back whole. Versions of
    glibc that refuse so large blocks keep those of up to 32 MiB.

    Returns:
        Whether that is so: False without glibc, or where the environment (`MALLOC_MMAP_THRESHOLD_`,
        `MALLOC_TRIM_THRESHOLD_`, `GLIBC_TUNABLES`) has settings of its own.
    """
    chosen = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"} & os.environ.keys()
    if chosen or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or os.name != "posix":
        return False
    libc = ctypes.CDLL(None)
    if not (hasattr(libc, "gnu_get_libc_version") and hasattr(libc, "mallopt")):
        return False
    largest = libc.mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK) or libc.mallopt(_MMAP_THRESHOLD, _LARGEST_BEFORE_2_35)
    return bool(largest and libc.mallopt(_TRIM_THRESHOLD, _KEPT_FREE) and libc.mallopt(_ARENA_MAX, 1))
