"""From an exported hasher to one in 8-bit integers, by onnxruntime's static quantisation.

Weights get one scale for each output channel, activations one for each tensor, from the values that the calibration
images give. What loses the most are the first convolutions, where few channels of unlike ranges share one scale, and
which are the slowest in 8 bits; so these may stay in float32, as many as is measured on the calibration images. The
head always does: it costs nothing, and what it gives becomes bits.
"""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from bitseek._checks import whole_number
from bitseek._files import FilePath
from bitseek.codes import signs
from bitseek.errors import DataError, MissingExtra, RunError, ShapeError
from bitseek.images import Features, as_images, batches, printable
from bitseek.kernels.threads import thread_count
from bitseek.portable._fingerprint import INT8, of_int8
from bitseek.portable._network import start_session
from bitseek.portable._onnx_file import FEATURES, LOGITS, SQUARES, free_onnx, write_onnx
from bitseek.portable._onnx_hasher import OnnxHasher

OPERATORS = ("Conv", "Gemm", "MatMul", "Clip", "Relu", "Add", "MaxPool")
"""What is computed in 8 bits; the activations so that they melt into the convolution before them."""

STEPS = (0, 1, 2, 3, 4, 6, 8, 12, 16)
"""Numbers of first convolutions that are tried in float32."""

BATCH = 16
"""Images that are calibrated with at once; larger ones are no faster."""


def quantise(
    file: FilePath,
    images: Any,
    out: FilePath,
    *,
    sample: int = 128,
    flips: float = 0.05,
    float_layers: int | None = None,
    threads: int | None = None,
) -> Path:
    """Write an 8-bit version of an exported hasher: several times as fast, a quarter of the size, slightly other codes.

    Args:
        file: that `export_onnx` wrote.
        images: like those that the model will see, for the ranges of the activations: of the collection, say; in any
            form that `Hasher.encode` takes. Those that cannot be read are left out.
        out: to write, atomically; an earlier ONNX file of bitseek is replaced.
        sample: how many of them are used, evenly spread.
        flips: share of the bits of these images that may change; the fewest layers that reach it stay in float32, or,
            if none do, those with which the fewest bits change.
        float_layers: number of first convolutions that stay in float32, if it shall not be found by that.
        threads: on which the models are run.

    Raises:
        BitseekError: `file` is no float32 model of bitseek, no image can be read, or something else is in the place of
            `out`.
    """
    free_onnx(out)
    model = OnnxHasher(file, threads=threads)
    if INT8 in model.fingerprint:
        raise RunError(
            f"{printable(model.file)} is in 8 bits already; quantise what `bitseek export RUN model.onnx` writes"
        )
    tried = STEPS if float_layers is None else (whole_number(float_layers, "float_layers", 0),)
    squares = _sample(model, images, whole_number(sample, "sample"))
    exact = signs(model.logits_of(squares))
    graph, fewest = b"", np.inf
    with tempfile.TemporaryDirectory() as folder, _quiet():
        for candidate in _candidates(Path(folder), model.file, squares, tried):
            try:
                changed = float(np.mean(_signs(candidate, squares, threads) != exact))
            except Exception as error:  # onnxruntime has a class of error for each kind, without a common base
                reason = " ".join(str(error).split())
                raise RunError(f"onnxruntime does not run {model!r} in 8 bits, use it in float32: {reason}") from error
            if changed < fewest:
                graph, fewest = candidate, changed
            if changed <= flips:
                break
    return write_onnx(out, graph, model.metadata.changed(fingerprint=of_int8(model.fingerprint, graph)))


def _sample(model: OnnxHasher, images: Any, count: int) -> UInt8[np.ndarray, "n s s 3"]:
    """Squares of some images, evenly spread over them."""
    given = as_images(images)
    if isinstance(given, Features):
        raise ShapeError("a model is calibrated on images, not on features")
    ids = np.unique(np.linspace(0, len(given) - 1, min(count, len(given))).round().astype(np.int64))
    unreadable: dict[int, str] = {}
    read = [batch for _, batch in batches(given, model.preprocess, ids, unreadable=unreadable)]
    if not read:
        why = f": {next(iter(unreadable.values()))}" if unreadable else ""
        raise DataError(f"a model is calibrated on images, and there is none that can be read{why}")
    return np.concatenate(read)


def _candidates(folder: Path, file: Path, squares: np.ndarray, float_layers: tuple[int, ...]) -> Iterator[bytes]:
    """The graph in 8 bits, with these numbers of first convolutions in float32."""
    try:
        import onnx
        from onnxruntime.quantization import CalibrationDataReader, QuantType, quant_pre_process, quantize_static
    except ImportError as error:
        raise MissingExtra.for_import(error) or error from error

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        """The squares, in batches."""

        def __init__(self) -> None:
            self.batches = iter([squares[start : start + BATCH] for start in range(0, len(squares), BATCH)])

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {SQUARES: batch}

    prepared, written = folder / "prepared.onnx", folder / "quantised.onnx"
    quant_pre_process(str(file), str(prepared), skip_symbolic_shape=True)
    model = onnx.load(prepared)
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    for count in sorted({min(count, len(convolutions)) for count in float_layers}):
        quantize_static(
            str(prepared),
            str(written),
            Reader(),
            per_channel=True,
            activation_type=QuantType.QUInt8,  # with QInt8 weights, what VNNI multiplies; QInt8 is half as fast there
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(OPERATORS),
            nodes_to_exclude=[*_head(model.graph), *convolutions[:count]],
            calibration_cache_path=str(folder / "ranges.json"),
        )
        quantised = onnx.load(written)
        for part in (quantised, quantised.graph, *quantised.graph.node):
            part.ClearField("metadata_props")
        yield quantised.SerializeToString()


def _head(graph: Any) -> list[str]:
    """Names of the nodes between features and logits."""
    behind, names = {FEATURES}, []
    for node in graph.node:  # in the order in which they are computed
        if behind & set(node.input):
            behind.update(node.output)
            names.append(node.name)
    return names


def _signs(graph: bytes, squares: np.ndarray, threads: int | None) -> Float32[np.ndarray, "n bits"]:
    session = start_session(graph, thread_count() if threads is None else threads)
    parts = [squares[start : start + BATCH] for start in range(0, len(squares), BATCH)]
    logits: np.ndarray = np.concatenate([session.run([LOGITS], {SQUARES: part})[0] for part in parts])
    return signs(logits)


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser logs its advice to the root logger, and prints."""
    root, level = logging.getLogger(), logging.getLogger().level
    try:
        root.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
