"""How much faster 12-megapixel JPEGs become when they are decoded at the smallest scale that is needed.

    python benchmarks/image_decoding.py

Pictures of 4000 × 3000 pixels are made here, in JPEG of quality 75 with 4:2:0 colour: of independent noise, of
gradients, and of gradients with grain, whose size in bytes is that of a photo. Each is decoded in full and at
`min_side` = 448, twice the 224 pixels of a usual backbone, and then resized by torchvision, antialiased, to a shorter
side of 256 pixels: by one thread, the two ways in turn, in processor time; and by all threads of `decode_many`, by the
clock. What remains of noise is the decoding of its entropy, which no scale saves. The difference of the resized pixels
is said too; how many bits of a code it flips depends on the network and is measured elsewhere.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as TF

from bitseek.images import decode, decode_many
from record import record

WIDTH, HEIGHT, QUALITY, RESIZED, MIN_SIDE = 4000, 3000, 75, 256, 448


def noise(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def gradients(rng: np.random.Generator) -> np.ndarray:
    """Smooth waves of another direction in each colour."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    slopes = rng.uniform(-0.01, 0.01, (3, 2))
    return np.stack([127.5 + 127.5 * np.sin(a * x + b * y) for a, b in slopes], axis=-1).astype(np.uint8)


def grain(rng: np.random.Generator) -> np.ndarray:
    """Gradients with normal noise of 20 levels: about 3 MB."""
    noisy = gradients(rng) + rng.normal(0, 20, (HEIGHT, WIDTH, 3)).astype(np.float32)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def resized(pixels: np.ndarray) -> torch.Tensor:
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    return TF.resize(image, [RESIZED], antialias=True)


def per_image(paths: list[Path], min_side: int | None) -> float:
    """Seconds of processor time an image, by one thread."""
    start = time.process_time()
    for path in paths:
        resized(decode(path, min_side=min_side))
    return (time.process_time() - start) / len(paths)


def by_threads(paths: list[Path], min_side: int | None) -> float:
    """Images a second, by all threads."""
    start = time.perf_counter()
    for _ in decode_many(paths, min_side=min_side, then=resized):
        pass
    return len(paths) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=6, help="of each kind")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for make in (noise, grain, gradients):
            paths = [Path(folder, f"{make.__name__}-{i}.jpg") for i in range(arguments.images)]
            for path in paths:
                Image.fromarray(make(rng)).save(path, quality=QUALITY, subsampling="4:2:0")
            per_image(paths[:1], MIN_SIDE), per_image(paths[:1], None)
            pairs = [(per_image(paths, None), per_image(paths, MIN_SIDE)) for _ in range(arguments.rounds)]
            full, draft = (resized(decode(paths[0], min_side=side)).float() for side in (None, MIN_SIDE))
            results[make.__name__] = {
                "megabytes": round(statistics.mean(path.stat().st_size for path in paths) / 1e6, 2),
                "full_images_per_second": round(1 / statistics.median(a for a, _ in pairs), 2),
                "draft_images_per_second": round(1 / statistics.median(b for _, b in pairs), 2),
                "ratio": round(statistics.median(a / b for a, b in pairs), 2),
                "full_images_per_second_by_threads": round(by_threads(paths * 2, None), 2),
                "draft_images_per_second_by_threads": round(by_threads(paths * 2, MIN_SIDE), 2),
                "mean_difference_of_pixels": round(float((full - draft).abs().mean()), 3),
                "greatest_difference_of_pixels": int((full - draft).abs().max()),
            }
            print(f"{make.__name__}: {results[make.__name__]}")
    settings = {"width": WIDTH, "height": HEIGHT, "quality": QUALITY, "min_side": MIN_SIDE, "resized": RESIZED}
    record("image_decoding", {**settings, "threads": os.cpu_count(), "by_kind": results})


if __name__ == "__main__":
    main()
