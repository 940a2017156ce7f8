"""From images in any form to codes, in the same words whatever the network computes with."""

from collections.abc import Mapping
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Float32

from bitseek.codes import Codes
from bitseek.errors import ImageError
from bitseek.images._sources import Images, as_images
from bitseek.images._squares import BATCH, Progress


class ImageEncoder:
    """What hashers of torch and of ONNX have in common: `encode` and `logits`, over what each of them defines."""

    def prefix(self, bits: SupportsIndex) -> "ImageEncoder":
        """The encoder of the first bits alone."""
        raise NotImplementedError

    def _logits_of_all(
        self, images: Images, batch_size: int, threads: int | None, progress: Progress | None
    ) -> tuple[np.ndarray, Mapping[int, str]]:
        """(m, bits) float32 of the images that can be decoded, and the messages of the others by their places."""
        raise NotImplementedError

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
        """Codes of images.

        Args:
            images: one image or many: paths, PIL images, (H, W), (H, W, 3) or (H, W, 4) arrays in any mixture;
                (n, H, W, 3) uint8 pixels; (n, 3, H, W) uint8 torch tensors; or (n, D) features of the backbone, where
                the network can begin with them.
            bits: of how many first bits, one of `lengths`; all by default. See `prefix`.
            batch_size: how many go through the network at once.
            threads: how many decode and encode; by default one a processor.
            progress: called after some of them, with how many are done, and of how many.
            unreadable: gets the message of each image that cannot be decoded, by its place; such images are then left
                out of the codes. Without it they are an error.

        Raises:
            ImageError: an image cannot be decoded; the message names it.
            CodeWidthError: a number of bits that the network was not trained for.
            BitseekError: something that is no image, or something else than the network takes.
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
        encoder = self if bits is None else self.prefix(bits)
        logits, failed = encoder._logits_of_all(as_images(images), batch_size, threads, progress)
        tell_unreadable(failed, unreadable)
        return logits


def tell_unreadable(failed: Mapping[int, str], unreadable: dict[int, str] | None) -> None:
    """Add the messages of images that cannot be decoded to those of a caller who asked for them; else raise the first.

    Raises:
        ImageError: nobody asked.
    """
    if unreadable is not None:
        unreadable.update(failed)
    elif failed:
        raise ImageError(next(iter(failed.values())))
