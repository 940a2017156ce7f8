"""From a hasher of torch to one ONNX file: normalisation, backbone and head in one graph."""

import copy
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitseek._files import FilePath
from bitseek.errors import MissingExtra, RunError
from bitseek.portable._fingerprint import ONNX
from bitseek.portable._onnx_file import (
    FEATURES,
    LOGITS,
    MOST_BYTES,
    SQUARES,
    Metadata,
    free_onnx,
    write_onnx,
)

if TYPE_CHECKING:
    import bitseek.runs

OPSET = 20
"""Version of the operators; onnxruntime 1.17 and later run it."""

_CHATTER = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def export_onnx(hasher: "bitseek.runs.Hasher", file: FilePath) -> Path:
    """Write a hasher as an ONNX file, which `load` reads without torch and every other ONNX runtime runs.

    Its input is `squares`, (n, s, s, 3) uint8, as `Preprocess.square` makes them; its outputs are `logits`, (n, bits),
    and `features`, (n, D), float32. How the squares are made, the fingerprint and the RunConfig are in its metadata,
    without the paths of this machine. All weights are inside; the file refers to no other.

    Args:
        hasher: with a backbone: a head on features of unknown origin has no images to start from.
        file: to write, atomically; an earlier ONNX file of bitseek is replaced.

    Raises:
        BitseekError: something else is in the place of the file, there is no backbone, the weights are more than the
            2 GiB that one file holds, or a layer has no form in ONNX.
    """
    free_onnx(file)
    preprocess = hasher.preprocess  # refuses a hasher without backbone
    size = sum(tensor.numel() * tensor.element_size() for tensor in hasher.state_dict().values())
    if size > MOST_BYTES:
        raise RunError(
            f"{hasher!r} has {size / 2**30:.1f} GiB of weights, and an ONNX file holds 2 GiB; use a smaller backbone"
        )
    config = None if hasher.config is None else hasher.config.without_paths().model_dump(mode="json")
    metadata = Metadata(
        bits=hasher.bits,
        lengths=hasher.lengths if len(hasher.lengths) > 1 else (),
        fingerprint=f"{hasher.fingerprint}{ONNX}",
        preprocess=preprocess,
        config=config,
    )
    return write_onnx(file, _graph(hasher), metadata)


def _graph(hasher: "bitseek.runs.Hasher") -> bytes:
    """The serialised model, without metadata."""
    try:
        import onnxscript as onnxscript  # which torch imports, and would miss in other words
        import torch
        from torch import Tensor, nn
    except ImportError as error:
        raise MissingExtra.for_import(error) or error from error

    from bitseek.models import colours, normalise

    class Network(nn.Module):
        """Squares → logits and features."""

        def __init__(self) -> None:
            super().__init__()
            self.hasher = copy.deepcopy(hasher).float().cpu().to(memory_format=torch.contiguous_format).eval()

        def forward(self, squares: Tensor) -> tuple[Tensor, Tensor]:
            """(n, s, s, 3) uint8 → (n, K), (n, D)."""
            backbone = self.hasher.backbone
            assert backbone is not None
            features = backbone(normalise(colours(squares), backbone.preprocess).contiguous())
            return self.hasher(features), features

    side = hasher.preprocess.size
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    try:
        with _quiet(), torch.no_grad():
            program: Any = torch.onnx.export(
                Network(),
                (example,),
                input_names=[SQUARES],
                output_names=[LOGITS, FEATURES],
                dynamic_shapes=({0: torch.export.Dim("n")},),
                opset_version=OPSET,
                custom_translation_table={torch.ops.aten._cdist_forward.default: _distances},
                dynamo=True,
                verbose=False,
            )
            model = program.model_proto
    except Exception as error:  # of torch.export and of the translation to ONNX, which have no common base
        reason = " ".join(str(error.__cause__ or error).split())
        raise RunError(f"{hasher!r} cannot be exported to ONNX: {reason:.300}") from error
    _strip(model)
    content: bytes = model.SerializeToString()
    return content


def _distances(x: Any, y: Any, p: float, mode: int | None = None) -> Any:
    """Euclidean distances of rows, (n, D) and (m, D) to (n, m), for which the exporter has no form: by definition."""
    from onnxscript import opset20

    op: Any = opset20  # its constants are typed as tensors of any type
    if p != 2:
        raise RunError(f"the distance with p = {p} has no form in ONNX here")
    apart = op.Sub(op.Unsqueeze(x, op.Constant(value_ints=[-2])), op.Unsqueeze(y, op.Constant(value_ints=[-3])))
    return op.ReduceL2(apart, op.Constant(value_ints=[-1]), keepdims=0)


def _strip(model: Any) -> None:
    """Leave out where in which source file each node comes from: paths of this machine, and a seventh of the file."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own insides, and prints its progress."""
    loggers = [logging.getLogger(name) for name in _CHATTER]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
