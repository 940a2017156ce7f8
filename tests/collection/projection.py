"""An encoder without a network: signs of random projections of 8 × 8 pixels. A whole `Encoder`, for tests and kills."""

import json
import threading
from pathlib import Path

import numpy as np

from bitseek.codes import Codes
from bitseek.errors import ImageError
from bitseek.images import Preprocess, as_images, batches

BITS = 70
SIDE = 8


class Projection:
    """Counts the images that it encoded in `encoded`."""

    def __init__(self, seed=0, bits=BITS):
        self.seed, self.bits, self.fingerprint = seed, bits, f"{seed:015x}p"
        self.preprocess = Preprocess(size=SIDE, crop=1)
        rng = np.random.default_rng(seed)
        self.backbone = rng.standard_normal((SIDE * SIDE * 3, 24)).astype(np.float32)
        self.head = rng.standard_normal((24, bits)).astype(np.float32)
        self.encoded = 0
        self._lock = threading.Lock()

    def features_of(self, squares):
        # One by one, so that the numbers do not depend on what else is in the batch.
        flat = squares.reshape(len(squares), -1).astype(np.float32) / 127.5 - 1
        return np.stack([row @ self.backbone for row in flat]) if len(flat) else np.zeros((0, 24), np.float32)

    def logits_of(self, squares):
        with self._lock:
            self.encoded += len(squares)
        features = self.features_of(squares)
        return np.stack([row @ self.head for row in features]) if len(squares) else np.zeros((0, self.bits), np.float32)

    def logits(self, images, *, batch_size=64, threads=None, progress=None, unreadable=None):
        bad = {}
        parts = batches(as_images(images), self.preprocess, batch_size=batch_size, threads=threads, unreadable=bad)
        found = [np.zeros((0, self.bits), np.float32), *(self.logits_of(part) for _, part in parts)]
        if bad and unreadable is None:
            raise ImageError(next(iter(bad.values())))
        if unreadable is not None:
            unreadable.update(bad)
        return np.concatenate(found)

    def encode(self, images, **options):
        return Codes.from_logits(self.logits(images, **options))

    def save(self, folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / "projection.json").write_text(json.dumps({"seed": self.seed, "bits": self.bits}))

    @classmethod
    def load(cls, folder):
        return cls(**json.loads((Path(folder) / "projection.json").read_text()))
