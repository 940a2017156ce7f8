"""The hasher: backbone, head and transform together, from images to codes."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from bitseek.codes import Codes
from bitseek.errors import ShapeError
from bitseek.images import decode
from bitseek.models.backbone import Backbone
from bitseek.models.transform import to_tensor

BATCH = 64


class Hasher(nn.Module):
    """Images to codes.

    Args:
        backbone: images → features.
        head: (b, D) features → (b, bits) logits.
        bits: length of the codes, K.
        device: where it computes.

    Attributes:
        codewords: (C, bits) ±1 target codes of the classes, where the method has them; the nearest one classifies.
    """

    codewords: Tensor | None

    def __init__(self, backbone: Backbone, head: nn.Module, bits: int, device: str | torch.device = "cpu") -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.bits = bits
        self.register_buffer("codewords", None)
        backbone.to(memory_format=torch.channels_last)  # twice as fast on a CPU, and never slower on a GPU
        self.to(device)

    def forward(self, images: Tensor) -> Tensor:
        """(b, 3, s, s) normalised images, or (b, D) features for the backbone `features` → (b, K) logits."""
        logits: Tensor = self.head(self.backbone(images))
        return logits

    @property
    def device(self) -> torch.device:
        """Where the hasher computes."""
        return next(self.parameters(), next(self.buffers(), torch.zeros(0))).device

    @property
    def fingerprint(self) -> str:
        """16 hex digits that name these weights, this transform and this code length; codes carry it."""
        digest = hashlib.sha256(f"{self.bits} {self.backbone.name} {self.backbone.transform}".encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    @torch.inference_mode()
    def logits_of(self, squares: Tensor) -> Float[np.ndarray, "n bits"]:
        """Logits of images that are ready to be normalised; see `features_of` for these.

        Always in float32 and in evaluation mode: the code of an image depends neither on its batch nor on autocast.

        """
        logits: np.ndarray = self.head(self.features_of(squares)).float().cpu().numpy()
        return logits

    @torch.inference_mode()
    def features_of(self, squares: Tensor) -> Tensor:
        """(n, D) float32 outputs of the backbone.

        Args:
            squares: (n, 3, s, s) uint8 pixels after `Transform.square`, or (n, D) float features.
        """
        self.eval()
        inputs = squares.to(self.device)
        if inputs.dtype == torch.uint8:
            inputs = self.backbone.transform.normalise(inputs).contiguous(memory_format=torch.channels_last)
        features: Tensor = self.backbone(inputs.float()).float()
        return features

    def logits(self, images: Any, *, batch_size: int = BATCH) -> Float[np.ndarray, "n bits"]:
        """Real-valued outputs, (n, bits) float32.

        Args:
            images: paths, PIL images or (H, W) / (H, W, 3) uint8 arrays, in any mixture; or a (n, 3, H, W) uint8
                torch batch; or (n, D) features where the backbone is `features`.
            batch_size: how many go through the network at once.

        Raises:
            ImageError: a file cannot be decoded; the message names it.
            ShapeError: something that is no image.
        """
        parts = [self.logits_of(batch) for batch in self._batches(images, batch_size)]
        return np.concatenate(parts) if parts else np.zeros((0, self.bits), np.float32)

    def encode(self, images: Any, *, batch_size: int = BATCH) -> Codes:
        """Codes of images; see `logits` for what images can be."""
        return Codes.from_logits(self.logits(images, batch_size=batch_size))

    def _batches(self, images: Any, batch_size: int) -> Iterable[Tensor]:
        if self.backbone.name == "features":
            yield from torch.as_tensor(np.asarray(images), dtype=torch.float32).split(batch_size)
        elif isinstance(images, Tensor):
            if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
                raise ShapeError(
                    f"a torch batch of images is (n, 3, H, W) uint8, got {tuple(images.shape)} {images.dtype}"
                )
            for batch in images.split(batch_size):
                yield self.backbone.transform.square(batch)
        else:
            items = [images] if isinstance(images, str | Path | Image.Image) else list(images)
            for start in range(0, len(items), batch_size):
                yield torch.stack([self._square(item) for item in items[start : start + batch_size]])

    def _square(self, image: Any) -> Tensor:
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
                raise ShapeError(f"an image array is (H, W) or (H, W, 3) uint8, got {image.shape} {image.dtype}")
            pixels = image
        elif isinstance(image, Image.Image):
            pixels = np.asarray(image.convert("RGB"))
        else:
            pixels = decode(image)
        return self.backbone.transform.square(to_tensor(pixels))
