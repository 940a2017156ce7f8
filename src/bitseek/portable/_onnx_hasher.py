"""A hasher in an ONNX file, run by onnxruntime: the same words as `Hasher`, and no torch."""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
from jaxtyping import Float32

from bitseek._checks import as_array
from bitseek._files import FilePath, atomic, user_path
from bitseek.codes import trained_length
from bitseek.errors import BitseekError, MissingExtra, RunError, ShapeError
from bitseek.images import Features, ImageEncoder, Images, Preprocess, Progress, encoded, printable
from bitseek.portable._fingerprint import INT8
from bitseek.portable._network import Network
from bitseek.portable._onnx_file import (
    FEATURES,
    LOGITS,
    SQUARES,
    Metadata,
    free_onnx,
    graph_of,
    metadata_of,
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


class OnnxHasher(ImageEncoder):
    """Images to codes, by onnxruntime; it takes images, not features.

    An ONNX file of somebody else is data, not a program: it has no code but a graph of onnxruntime's own operators.
    Operators of other libraries are unknown here and refused, and so is a graph whose weights are in other files. (It
    can still ask for more memory or time than there is.)

    In 8 bits, onnxruntime is told to add products without saturation also on processors whose quickest way saturates
    (those without VNNI), so that codes do not depend on the machine by that.

    Args:
        file: that `export_onnx` or `quantise` wrote.
        threads: on which the network runs; by default one a processor. With several, the weights are in memory twice
            after the first batch of twice as many squares.

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
        try:
            self._network = Network(self.file, content, threads)
            self.metadata = metadata_of(content)
            self._widths = _widths(self._network.session, self.metadata)
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
    def at_once(self) -> int:
        """How many threads may call `logits_of` at a time and gain by it."""
        return self._network.threads

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

    def _logits_of_all(
        self, images: Images, batch_size: int, threads: int | None, progress: Progress | None
    ) -> tuple[np.ndarray, Mapping[int, str]]:
        if isinstance(images, Features):
            raise ShapeError(f"{self!r} takes images, not features; the hasher that it was exported from takes both")
        failed: dict[int, str] = {}
        read = encoded(
            images,
            self.preprocess,
            self.logits_of,
            at_once=self.at_once,
            batch_size=batch_size,
            threads=threads,
            progress=progress,
            unreadable=failed,
        )
        return np.concatenate([np.zeros((0, self.bits), np.float32), *(logits for _, logits in read)]), failed

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
        content = self._network.content()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BitseekError(f"cannot make the folder {target.parent}: {error.strerror or error}") from error
        if self.metadata.prefix_of is not None:  # the file may be that of the whole
            write_onnx(target, graph_of(content), self.metadata)
            return
        with atomic(free_onnx(target)) as part:
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
            return self._network.run(outputs, squares)
        except BitseekError:
            raise
        except Exception as error:
            raise RunError(f"{printable(self.file)} fails on {len(squares)} squares: {_reason(error)}") from error


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
