"""A hasher in an ONNX file, run by onnxruntime: the same words as `Hasher`, and no torch."""

import copy
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
from jaxtyping import Float32

from bitseek._checks import as_array, whole_number
from bitseek._files import FilePath, atomic, free_target, user_path
from bitseek.codes import Codes, trained_length
from bitseek.errors import BitseekError, ImageError, MissingExtra, RunError, ShapeError
from bitseek.images import BATCH, Features, Preprocess, Progress, as_images, batches, printable
from bitseek.kernels.threads import thread_count
from bitseek.portable._fingerprint import INT8
from bitseek.portable._onnx_file import (
    FEATURES,
    LOGITS,
    SQUARES,
    Metadata,
    digest_in,
    graph_of,
    is_bitseek_onnx,
    read_onnx,
    write_onnx,
)

if TYPE_CHECKING:
    import onnxruntime

MODEL = "model.onnx"
"""Name of the file in a folder."""

LOGIT_BOUND = 1e-4
"""A bit of the float32 export differs from torch's only where torch's logit is nearer to zero than this share of the
mean |logit|: sums are made in another order, and a float32 has 24 bits."""

NO_FOLDER = Path(os.devnull) / "none"
"""In which nothing can be, so that no graph refers to another file: onnxruntime refuses each one that does."""


class OnnxHasher:
    """Images to codes, by onnxruntime.

    An ONNX file of somebody else is data, not a program: it has no code but a graph of onnxruntime's own operators.
    Operators of other libraries are unknown here and refused, and so is a graph whose weights are in other files. (It
    can still ask for more memory or time than there is.)

    In 8 bits, onnxruntime is told to add products without saturation also on processors whose quickest way saturates
    (those without VNNI), so that codes do not depend on the machine by that.

    Args:
        file: that `export_onnx` or `quantise` wrote.
        threads: on which the network runs; by default one a processor.

    Attributes:
        file: it was read from.
        bits: length of the codes, K.
        lengths: at which the first bits are codes in their own right, ascending; the last is `bits`.
        fingerprint: `BASE+onnx`, or `BASE+int8-XXXXXXXX` for one in 8 bits, where the hasher's was BASE.
        preprocess: from the pixels of an image to the square that it takes.
        config: JSON of the RunConfig of the training; None if it comes from none.
        metadata: all of what the file says of the model.

    Raises:
        BitseekError: no such file, another one, a damaged one, or one that onnxruntime refuses.
    """

    def __init__(self, file: FilePath, *, threads: int | None = None) -> None:
        self.file = user_path(file, resolve=True)
        content, name = read_onnx(file), printable(self.file)
        self._digest = digest_in(content)
        try:
            self._session = start_session(content, threads)
            self.metadata = Metadata.of_text(self._session.get_modelmeta().custom_metadata_map)
            self._widths = _widths(self._session, self.metadata)
        except BitseekError as error:
            raise error if isinstance(error, MissingExtra | ShapeError) else RunError(f"{name}: {error}") from error
        except Exception as error:  # onnxruntime has a class of error for each kind, without a common base
            raise RunError(f"onnxruntime refuses {name}: {_reason(error)}") from error

    @property
    def bits(self) -> int:
        """Length of the codes, K."""
        return self.metadata.bits

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths at which the first bits are codes in their own right, ascending; the last is `bits`."""
        return self.metadata.lengths or (self.bits,)

    @property
    def fingerprint(self) -> str:
        """Names the model; see `same_codes`."""
        return self.metadata.fingerprint

    @property
    def preprocess(self) -> Preprocess:
        """From the pixels of an image to the square that the model takes."""
        return self.metadata.preprocess

    @property
    def config(self) -> dict[str, Any] | None:
        """JSON of the RunConfig of the training."""
        return self.metadata.config

    def __repr__(self) -> str:
        config = self.config or {}
        of = f"{config['method']} on {config['protocol']}, " if {"method", "protocol"} <= config.keys() else ""
        kind = "int8" if INT8 in self.fingerprint else "float32"
        return f"OnnxHasher({of}{kind}, {self.preprocess.size} px → {self.bits} bits)"

    def prefix(self, bits: SupportsIndex) -> "OnnxHasher":
        """The hasher of the first bits alone, by the same network; see `Hasher.prefix`.

        Args:
            bits: one of `lengths`.

        Raises:
            CodeWidthError: the model was not trained for that length; the message says for which it was.
        """
        length = trained_length(bits, self.lengths, repr(self))
        first = copy.copy(self)
        first.metadata = self.metadata if length == self.bits else self.metadata.prefix(length)
        return first

    def encode(
        self,
        images: Any,
        *,
        bits: SupportsIndex | None = None,
        batch_size: int = BATCH,
        threads: int | None = None,
        progress: Progress | None = None,
        unreadable: dict[int, str] | None = None,
    ) -> Codes:
        """Codes of images; arguments and errors are those of `Hasher.encode`, but for features, which it does not take.

        Args:
            images: one image or many, in any form that `Hasher.encode` takes.
            bits: of how many first bits, one of `lengths`; all by default. See `prefix`.
            batch_size: how many go through the network at once.
            threads: how many decode; by default one a processor, 8 at most.
            progress: called after each batch.
            unreadable: gets the message of each image that cannot be decoded, by its place; such images are then left
                out of the codes. Without it they are an error.

        Raises:
            ImageError: an image cannot be decoded; the message names it.
            CodeWidthError: a number of bits that the model was not trained for.
            ShapeError: something that is no image.
        """
        logits = self.logits(
            images, bits=bits, batch_size=batch_size, threads=threads, progress=progress, unreadable=unreadable
        )
        return Codes.from_logits(logits)

    def logits(
        self,
        images: Any,
        *,
        bits: SupportsIndex | None = None,
        batch_size: int = BATCH,
        threads: int | None = None,
        progress: Progress | None = None,
        unreadable: dict[int, str] | None = None,
    ) -> Float32[np.ndarray, "n bits"]:
        """Real-valued outputs, before they become bits; arguments and errors are those of `encode`."""
        model, given = self if bits is None else self.prefix(bits), as_images(images)
        if isinstance(given, Features):
            raise ShapeError(f"{self!r} takes images, not features; the hasher that it was exported from takes both")
        failed: dict[int, str] = {}
        read = batches(
            given, self.preprocess, batch_size=batch_size, threads=threads, progress=progress, unreadable=failed
        )
        parts = [np.zeros((0, model.bits), np.float32), *(model.logits_of(batch) for _, batch in read)]
        if unreadable is not None:
            unreadable.update(failed)
        elif failed:
            raise ImageError(next(iter(failed.values())))
        return np.concatenate(parts)

    def logits_of(self, squares: np.ndarray) -> Float32[np.ndarray, "n bits"]:
        """Logits of one batch: (n, s, s, 3) uint8 squares of `preprocess`.

        Raises:
            ShapeError: an array of another shape or type.
        """
        return self._run([LOGITS], squares)[0][:, : self.bits]

    def features_of(self, squares: np.ndarray) -> Float32[np.ndarray, "n D"]:
        """Outputs of the backbone for one batch; argument and errors are those of `logits_of`."""
        return self._run([FEATURES], squares)[0]

    def logits_and_features_of(
        self, squares: np.ndarray
    ) -> tuple[Float32[np.ndarray, "n bits"], Float32[np.ndarray, "n D"]]:
        """What `logits_of` and `features_of` give, by one run of the network."""
        logits, features = self._run([LOGITS, FEATURES], squares)
        return logits[:, : self.bits], features

    def save(self, folder: FilePath) -> None:
        """Write the model into a folder, as `model.onnx`; `load` takes that folder.

        Args:
            folder: which is made if it does not exist.

        Raises:
            BitseekError: something else of that name is there, it cannot be written, or the file from which this model
                was loaded is gone or is another one by now.
        """
        target = user_path(folder) / MODEL
        content = read_onnx(self.file)
        if digest_in(content) != self._digest:
            raise RunError(f"{printable(self.file)} was replaced since it was loaded; load it again")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BitseekError(f"cannot make the folder {target.parent}: {error.strerror or error}") from error
        if self.metadata.prefix_of is not None:  # the file may be that of the whole
            write_onnx(target, graph_of(content), self.metadata)
            return
        with atomic(free_target(target, "an ONNX file of bitseek", is_bitseek_onnx)) as part:
            part.write_bytes(content)

    def _run(self, outputs: list[str], squares: np.ndarray) -> list[np.ndarray]:
        squares = as_array(squares, "squares")
        side = self.preprocess.size
        if squares.shape[1:] != (side, side, 3) or squares.dtype != np.uint8:
            raise ShapeError(
                f"{self!r} takes squares (n, {side}, {side}, 3) of uint8, as its preprocess.square makes them, got "
                f"{squares.shape} {squares.dtype}"
            )
        if not len(squares):
            return [np.zeros((0, self._widths[output]), np.float32) for output in outputs]
        try:
            values: list[np.ndarray] = self._session.run(outputs, {SQUARES: squares})
        except Exception as error:
            raise RunError(f"{printable(self.file)} fails on {len(squares)} squares: {_reason(error)}") from error
        return values


def start_session(model: bytes, threads: int | None) -> "onnxruntime.InferenceSession":
    """A session of onnxruntime on the CPU.

    Args:
        model: serialised; no file that it refers to is read.
        threads: which share the work of one operator; by default one a processor.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra.for_import(error) or error from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = thread_count() if threads is None else whole_number(threads, "threads")
    options.log_severity_level = 4  # what goes wrong is raised
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the time to those who decode
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(NO_FOLDER))
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _widths(session: "onnxruntime.InferenceSession", metadata: Metadata) -> dict[str, int]:
    """Length of each output, after the graph was found to be of the form that the metadata say."""
    side = metadata.preprocess.size
    takes = [(given.name, given.type, given.shape[1:]) for given in session.get_inputs()]
    gives = {given.name: given.shape[-1] for given in session.get_outputs() if given.type == "tensor(float)"}
    if takes != [(SQUARES, "tensor(uint8)", [side, side, 3])] or gives.get(LOGITS) != (
        metadata.prefix_of or metadata.bits
    ):
        raise BitseekError(f"its graph takes {takes} and gives {gives}, which is not what its metadata say")
    if not isinstance(gives.get(FEATURES), int):
        raise BitseekError(f"its graph gives no features of one length, but {gives}")
    return gives


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
