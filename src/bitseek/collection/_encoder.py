"""What a collection needs of a hasher, whatever it computes with."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from bitseek._files import FilePath
from bitseek.codes import Codes
from bitseek.errors import BitseekError, CodeWidthError, RunError
from bitseek.images import Preprocess, printable


@runtime_checkable
class Encoder(Protocol):
    """Images → logits → codes: a `Hasher` of torch, an `OnnxHasher`, or any other.

    One that has `logits_and_features_of` too, which gives both by one run of its network, is asked for both by that.
    One that has `at_once`, a number, is asked by so many threads at a time, each of which is `kernels.threads.alone`;
    any other by one.

    Attributes:
        bits: length of its codes.
        fingerprint: names the model; codes of other models cannot be compared with its own.
        preprocess: from an image to the square that it sees.
    """

    @property
    def bits(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def preprocess(self) -> Preprocess: ...
    def logits_of(self, squares: np.ndarray) -> np.ndarray:
        """(n, s, s, 3) uint8 squares → (n, bits) float32."""

    def features_of(self, squares: np.ndarray) -> np.ndarray:
        """(n, s, s, 3) uint8 squares → (n, D) float32."""

    def encode(
        self,
        images: Any,
        *,
        batch_size: int = ...,
        threads: int | None = None,
        progress: Any = None,
        unreadable: dict[int, str] | None = None,
    ) -> Codes:
        """One code an image; one that cannot be decoded has none but a message in `unreadable`, or is an ImageError."""

    def logits(
        self,
        images: Any,
        *,
        batch_size: int = ...,
        threads: int | None = None,
        progress: Any = None,
        unreadable: dict[int, str] | None = None,
    ) -> np.ndarray:
        """(n, bits) float32, as `encode`."""

    def save(self, folder: FilePath) -> Any:
        """Write all that loading it again needs into a folder."""


def logits_and_features(encoder: Encoder, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both of (n, s, s, 3) uint8 squares, (n, bits) and (n, D) float32, by one run of the network where it can be."""
    at_once: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None
    at_once = getattr(encoder, "logits_and_features_of", None)
    return at_once(squares) if at_once else (encoder.logits_of(squares), encoder.features_of(squares))


def at_length(encoder: Encoder, bits: int) -> Encoder:
    """What gives codes of so many bits: the encoder, or its first bits where it was trained to give such codes too."""
    if bits < encoder.bits and bits in getattr(encoder, "lengths", ()):
        prefix: Callable[[int], Encoder] = encoder.prefix  # type: ignore[attr-defined]
        return prefix(bits)
    return encoder


AnyEncoder = Encoder | Callable[[], Encoder]
"""An encoder, or what loads one, if there is something to encode."""


class Model:
    """The model of a collection: loaded from its folder when it is first needed, once for each device.

    Args:
        folder: what `portable.load` takes.
        bits: of the codes in the collection.
        fingerprint: of the model that made them.
    """

    def __init__(self, folder: Path, bits: int, fingerprint: str) -> None:
        self.folder, self.bits, self.fingerprint = folder, bits, fingerprint
        self._loaded: dict[tuple[str, int | None], Encoder] = {}
        self._lock = threading.Lock()

    def load(self, device: str = "cpu", threads: int | None = None) -> Encoder:
        """The encoder in the folder.

        Raises:
            BitseekError: it cannot be loaded, or is another one than made the codes.
        """
        with self._lock:
            key = device, threads
            if key not in self._loaded:
                from bitseek.portable import load  # brings torch or onnxruntime

                if not self.folder.is_dir() or not any(self.folder.iterdir()):
                    raise RunError(
                        f"the model of this collection is gone from {printable(self.folder)}; put a copy of it there, "
                        f"or give it each time: --model RUN or FILE.onnx, of the fingerprint {self.fingerprint}"
                    )
                self._loaded[key] = self.checked(load(self.folder, device=device, threads=threads))
            return self._loaded[key]

    def given(self, hasher: AnyEncoder | None) -> Encoder:
        """The encoder that a user gave, or what theirs loads, or the one in the folder.

        Raises:
            CodeWidthError: its codes cannot be compared with those of the collection.
        """
        if hasher is None:
            return self.load()
        if isinstance(hasher, Encoder):
            return self.checked(hasher)
        loaded = hasher() if callable(hasher) else hasher
        if not isinstance(loaded, Encoder):
            raise BitseekError(f"a hasher is what bitseek.load gives, or a function that loads one, got {loaded!r:.80}")
        return self.checked(loaded)

    def checked(self, encoder: Encoder) -> Encoder:
        """The encoder, or that of its first bits, if its codes can be mixed with those of the collection."""
        encoder = at_length(encoder, self.bits)
        self.check_fingerprint(encoder.fingerprint, encoder.bits)
        return encoder

    def check_fingerprint(self, fingerprint: str, bits: int) -> None:
        """Refuse codes that cannot be mixed with those of the collection.

        Raises:
            CodeWidthError: they are of another model, or of another length.
        """
        same = fingerprint == self.fingerprint
        if not same:
            from bitseek.portable import same_codes

            same = same_codes(fingerprint, self.fingerprint)
        if not same or bits != self.bits:
            raise CodeWidthError(
                f"the codes of this collection were made by model {self.fingerprint} ({self.bits} bits), not by "
                f"{fingerprint} ({bits} bits); use that model, which lies in {self.folder}, or make a new collection"
            )
