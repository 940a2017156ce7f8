"""A hasher that remembers the features of pictures that it has seen, so that no network runs twice on the same one."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from bitseek.codes import Codes
from bitseek.images import Preprocess
from bitseek.runs import Hasher


class Remembering:
    """An encoder with the words of `Hasher`; what it was shown is known by a digest of the square's pixels.

    Args:
        hasher: what computes.
        known: features of squares by their digest; a new dictionary if not given.
    """

    def __init__(self, hasher: Hasher, known: dict[bytes, np.ndarray] | None = None) -> None:
        self.hasher = hasher
        self._known = {} if known is None else known

    def of(self, hasher: Hasher) -> "Remembering":
        """Another hasher with the same backbone, and what was seen so far."""
        return Remembering(hasher, self._known)

    @property
    def bits(self) -> int:
        """Length of the codes."""
        return self.hasher.bits

    @property
    def fingerprint(self) -> str:
        """That of the hasher."""
        return self.hasher.fingerprint

    @property
    def preprocess(self) -> Preprocess:
        """From pixels to squares."""
        return self.hasher.preprocess

    def features_of(self, squares: UInt8[np.ndarray, "n s s 3"]) -> Float32[np.ndarray, "n D"]:
        """(n, D) features; only squares that were never seen go through the network."""
        keys = [hashlib.blake2b(np.ascontiguousarray(square).data, digest_size=16).digest() for square in squares]
        new = {key: i for i, key in enumerate(keys) if key not in self._known}
        if new:
            self._known |= zip(new, self.hasher.features_of(squares[list(new.values())]), strict=True)
        return np.stack([self._known[key] for key in keys])

    def logits_of(self, squares: np.ndarray) -> Float32[np.ndarray, "n bits"]:
        """(n, bits) logits of squares, or of features."""
        features = self.features_of(squares) if squares.dtype == np.uint8 else squares
        logits: np.ndarray = self.hasher.logits_of(features)
        return logits

    def encode(self, images: Any, **how: Any) -> Codes:
        """Codes of images; see `Hasher.encode`."""
        return self.hasher.encode(images, **how)

    def logits(self, images: Any, **how: Any) -> Float32[np.ndarray, "n bits"]:
        """Logits of images; see `Hasher.logits`."""
        return self.hasher.logits(images, **how)

    def save(self, folder: str | Path) -> None:
        """Write the hasher into a run folder, without what it remembers."""
        self.hasher.save(folder)
