"""numba behind one door: no other file of the package imports it.

    @njit                      # nogil, cached on disk, C semantics for division; never parallel
    def count_near(words, query, radius, start, stop): ...

How to write a kernel here:

* Give it a range (`start`, `stop`) of queries or codes, and let `threads.spread` run it on several Python threads:
  a compiled loop lets go of the interpreter's lock. So there is no OpenMP beside torch's and faiss's (two such
  run-times in one process spin against each other), several threads of a server may search at once, and compiling takes
  a third of the time that numba's own `parallel=True` needs.
* In the innermost loops index with unsigned numbers (`for j in range(np.uint64(n))`), or take a slice first and index
  it from 0 to `size`: numba's wrap-around of negative indices otherwise turns a loop over words into gathers, three
  times as slow.
* Call only kernels of the same file, of the files in `_SHARED`, and `popcount`: numba's cache looks at the date of one
  file. Small ones that are called in loops are `@inner`.
* Give the public function around it a NumPy path for `COMPILED = False`, which is so when numba is absent or its
  compiler is disabled (`NUMBA_DISABLE_JIT=1`). The answers must be the same, in acceptable time.

Compiled code is kept in the package's `__pycache__` where that can be written, else in the user's cache folder, or in
`NUMBA_CACHE_DIR` if that is set; in a folder of its own for each kind of processor, so that machines may share it.
"""

import hashlib
import inspect
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

numba: Any = None
try:
    numba = import_module("numba")
    event: Any = import_module("numba.core.event")
    intrinsic: Any = import_module("numba.extending").intrinsic
    llvm: Any = import_module("llvmlite.binding")
except ImportError:  # a Python for which there is no numba yet
    pass

COMPILED: bool = numba is not None and not numba.config.DISABLE_JIT
"""Whether kernels are compiled; if not, the functions around them take their NumPy path."""

_SHARED = ("jit.py", "layout.py", "distance.py", "topk.py")  # kernels of other files call into these

logger = logging.getLogger("bitseek.kernels")

Function = TypeVar("Function", bound=Callable[..., Any])


def njit(function: Function) -> Function:
    """Compile a kernel on its first call; it runs without the interpreter's lock. Without numba it stays as it is."""
    return _compiled(function)


def inner(function: Function) -> Function:
    """Compile a kernel that only kernels call, and that neither makes an array nor slices one.

    References to its arrays are not counted: doing so, atomically, takes longer than what a short one has to do.
    """
    return _compiled(function, _nrt=False)


def _compiled(function: Function, **options: bool) -> Function:
    if not COMPILED:
        return function
    bare: Any = inspect.unwrap(function)  # without the shape checks that a test run puts around every function
    cached = bool(_CACHE) and Path(bare.__code__.co_filename).is_file()
    with _own_cache():
        compiled: Function = numba.njit(nogil=True, cache=cached, error_model="numpy", **options)(bare)
    return compiled


def keep(*kernels: Any) -> None:
    """Keep on disk what kernels of another package are compiled to, where that package leaves it to every process."""
    if COMPILED and _CACHE:
        with _own_cache():
            for kernel in kernels:
                kernel.enable_caching()


@contextmanager
def _own_cache() -> Iterator[None]:
    """Numba reads where its cache is when it decorates, so for that moment only it is ours.

    One thread at a time: what a second one found would be ours, and it would leave that to everybody.
    """
    with _DECORATING:
        users = numba.config.CACHE_DIR
        try:
            numba.config.CACHE_DIR = _CACHE
            yield
        finally:
            numba.config.CACHE_DIR = users


_DECORATING = threading.Lock()


def _cache_folder() -> str:
    """A folder that can be written, for compiled code of this processor and this numba; empty if there is none."""
    features = llvm.get_host_cpu_features().flatten() + (numba.config.CPU_FEATURES or "")
    here = Path(__file__).parent
    source = "".join((here / name).read_text(encoding="utf-8") for name in _SHARED)
    key = hashlib.sha256("\n".join((numba.__version__, features, source)).encode()).hexdigest()[:12]
    name = f"bitseek-{llvm.get_host_cpu_name()}-{key}"
    if sys.platform == "win32":
        users = os.environ.get("LOCALAPPDATA", "~")
    elif sys.platform == "darwin":
        users = "~/Library/Caches"
    else:
        users = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    chosen: str | None = numba.config.CACHE_DIR
    for parent in [Path(chosen)] if chosen else [here / "__pycache__", Path(users)]:
        folder = parent.expanduser() / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return str(folder)
    return ""


def _wide_vectors() -> None:
    """Let LLVM use 512-bit vectors where the processor has them: a quarter faster than the 256 bits that it prefers.

    Only if the user has not chosen the processor's features; without effect once numba has compiled something.
    """
    if numba.config.CPU_FEATURES is None and numba.config.ENABLE_AVX:
        features = llvm.get_host_cpu_features()
        if features.get("avx512vpopcntdq"):
            numba.config.CPU_FEATURES = features.flatten() + ",-prefer-256-bit"


if COMPILED:
    _wide_vectors()
    _CACHE = _cache_folder()

    class _Notice(event.Listener):  # type: ignore[misc,name-defined,unused-ignore]
        """Logs once what the first call of a kernel waits for."""

        logged = False

        def on_start(self, happening: Any) -> None:
            kernel = happening.data["dispatcher"].py_func
            if not self.logged and kernel.__module__.startswith("bitseek."):
                self.logged = True
                logger.warning("compiling the search kernels, once; this takes a few seconds")

        def on_end(self, happening: Any) -> None:
            pass

    event.register("numba:compile", _Notice())

    @intrinsic  # type: ignore[untyped-decorator,unused-ignore]
    def popcount(typing: Any, word: Any) -> Any:
        """Number of ones in a uint64, as an int64: the processor's own instruction, on whole vectors."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.ctpop(args[0])

        return numba.types.int64(numba.types.uint64), generate

else:

    def popcount(word: int) -> int:  # type: ignore[misc,unused-ignore]
        """Number of ones in a word."""
        return int(word).bit_count()
