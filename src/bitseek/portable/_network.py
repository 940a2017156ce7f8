"""The graph of an ONNX file, run by onnxruntime on the CPU: few squares by threads together, many by each alone.

Threads that share each operator wait for each other at its end, and their share of so little work is done soon. Where
there are enough squares, each thread runs the whole graph on a few of them instead, so few that what one operator
writes for the next one stays near the processor: of MobileNetV2 in 8 bits at 96 px that takes a third of the time away.
"""

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bitseek._checks import whole_number
from bitseek.errors import BitseekError, MissingExtra, RunError
from bitseek.images import printable
from bitseek.kernels.threads import is_alone, spread, thread_count
from bitseek.portable._onnx_file import SQUARES, digest_in, read_onnx

if TYPE_CHECKING:
    import onnxruntime

AT_ONCE = 16
"""Squares that a thread alone takes at once, at most."""

NO_FOLDER = Path(os.devnull) / "none"
"""In which nothing can be, so that no graph refers to another file: onnxruntime refuses each one that does."""


class Network:
    """The graph in a file of bitseek. Any thread may run it.

    Args:
        file: that `read_onnx` takes.
        content: what is in it.
        threads: that run it; by default one a processor.

    Attributes:
        session: in which the threads share each operator.

    Raises:
        Exception: onnxruntime refuses it; its errors have no common base.
    """

    def __init__(self, file: Path, content: bytes, threads: int | None) -> None:
        self.file = file
        self.threads = thread_count() if threads is None else whole_number(threads, "threads")
        self._digest = digest_in(content)
        self.session = start_session(content, self.threads)
        self._alone = self.session if self.threads == 1 else None
        self._lock = threading.Lock()

    def content(self) -> bytes:
        """The file, read again.

        Raises:
            BitseekError: it is gone, or is another one by now.
        """
        content = read_onnx(self.file)
        if digest_in(content) != self._digest:
            raise RunError(f"{printable(self.file)} was replaced since it was loaded; load it again")
        return content

    def run(self, outputs: list[str], squares: np.ndarray) -> list[np.ndarray]:
        """Outputs of the graph by their names, (n, …) each, for (n, s, s, 3) uint8 squares, n ≥ 1."""
        threads = 1 if is_alone() else self.threads
        if len(squares) < 2 * threads and not is_alone():
            return list(self.session.run(outputs, {SQUARES: squares}))
        session, length = self._session_alone(), min(AT_ONCE, -(-len(squares) // threads))
        parts = [squares[start : start + length] for start in range(0, len(squares), length)]
        found: list[list[np.ndarray]] = [[] for _ in parts]

        def work(start: int, stop: int) -> None:
            for i in range(start, stop):
                found[i] = session.run(outputs, {SQUARES: parts[i]})

        spread(work, len(parts), threads=threads)
        return [np.concatenate(values) for values in zip(*found, strict=True)]

    def _session_alone(self) -> "onnxruntime.InferenceSession":
        """A session whose operators have one thread; the other one where the file is gone by now."""
        with self._lock:
            if self._alone is None:
                try:
                    self._alone = start_session(self.content(), 1)
                except BitseekError:
                    self._alone = self.session
            return self._alone


def start_session(model: bytes, threads: int) -> "onnxruntime.InferenceSession":
    """A session of onnxruntime on the CPU.

    Args:
        model: serialised; no file that it refers to is read.
        threads: which share the work of one operator.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra.for_import(error) or error from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what goes wrong is raised
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the time to those who decode
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(NO_FOLDER))
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
