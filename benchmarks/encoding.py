"""What encoding files costs over the bare forward pass, and what decoding large JPEGs at a smaller scale changes.

    git worktree add ../before 44b353a
    BITSEEK_DATA=… python benchmarks/encoding.py --weights mobilenetv2_100.safetensors --set pad_type=same mean=0.5 \\
        std=0.5 --before ../before/src

1. CIFAR-10 images as PNG files: `hasher.encode(paths)` beside the forward pass on batches that are ready, in turn, and
   beside the command `bitseek encode`, each in a process of its own. Of these two what further images cost is compared,
   the time of twice as many minus that of once: the start of a process is no part of it.
2. JPEGs of 12 megapixels, made from noise, from gradients, and from CIFAR-10 images enlarged with grain: images/s with
   every file decoded in full, and at the smallest scale that keeps twice the input; the bits that differ. With
   `--before`, the source of bitseek before images took one way, the same files go through its `hasher.encode` and
   through the function with threads that its command used, in turn with ours.
"""

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bitseek.data import load_protocol
from bitseek.images import Paths, Preprocess, batches
from bitseek.methods import METHODS
from bitseek.models import build_backbone
from bitseek.runs import Hasher, RunConfig, encode_features
from record import record

MEGAPIXELS = (3000, 4000)

PROGRAMS = {
    "command": "from bitseek.cli import main; main()",
    "encode": """
import sys
from pathlib import Path
from bitseek.runs import Hasher

Hasher.load(sys.argv[2]).encode(sorted(Path(sys.argv[3]).iterdir()))
""",
}
"""The command, and the call in a process of its own."""

BEFORE = """
import sys, time
from pathlib import Path
import numpy as np
from torch import nn
from bitseek.data.pool import Paths
from bitseek.encode import encode
from bitseek.models.backbone import build_backbone
from bitseek.models.hasher import Hasher

backbone = build_backbone("mobilenetv2_100", weights=sys.argv[1], size=int(sys.argv[2]))
hasher = Hasher(backbone, nn.Linear(backbone.features, 64), 64)
for line in sys.stdin:
    folder = Path(line.strip())
    paths = sorted(folder.iterdir())
    pool = Paths(folder, tuple(path.name for path in paths))
    times = []
    for call in (lambda: hasher.encode(paths), lambda: encode(hasher, pool)):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    print(*times, flush=True)
"""
"""Seconds that commit 44b353a takes for a folder: its `Hasher.encode`, and its function with threads."""


class InFull(Preprocess):
    """Decode JPEGs at their own size, however large."""

    @property
    def min_side(self) -> int:
        return 1 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--set", nargs="*", default=[], help="options of the backbone, NAME=VALUE")
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--large", type=int, default=24, help="12-megapixel JPEGs of each kind")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", help="source of commit 44b353a")
    arguments = parser.parse_args()
    options = {name: _value(value) for name, _, value in (pair.partition("=") for pair in arguments.set)}
    hasher = _hasher(arguments.weights, arguments.size, options)
    cifar = load_protocol("cifar10-1").pool.images.array
    with tempfile.TemporaryDirectory() as folder:
        result = {
            "backbone": hasher.backbone.config.name,
            "size": arguments.size,
            "threads": torch.get_num_threads(),
            "png": _png(hasher, cifar, Path(folder), arguments.images, arguments.rounds),
            "jpeg_12_megapixels": _jpeg(hasher, cifar, Path(folder), arguments.large, _before(arguments)),
        }
    print(json.dumps(result, indent=1))
    record("encoding", result)


def _png(hasher: Hasher, cifar: np.ndarray, folder: Path, n: int, rounds: int) -> dict[str, object]:
    for count in (n, 2 * n):
        (folder / str(count)).mkdir()
        for i in range(count):
            Image.fromarray(cifar[i]).save(folder / str(count) / f"{i:05d}.png")
    paths = sorted((folder / str(n)).iterdir())
    images = Paths(Path(), tuple(map(str, paths)))
    ready = [batch for _, batch in batches(images, hasher.preprocess, unreadable={})]

    def bare() -> None:
        for batch in ready:
            hasher.logits_of(batch)

    def encode() -> None:
        hasher.encode(paths)

    bare(), encode()
    pairs = [(_timed(encode), _timed(bare)) for _ in range(rounds)]
    hasher.save(folder / "run")
    further: dict[str, list[float]] = {"command": [], "encode": []}
    for _ in range(rounds):
        for name, program in PROGRAMS.items():
            times = [
                _timed(lambda c=count, p=program: _run(p, folder / "run", folder / str(c), folder / "codes.npz"))
                for count in (n, 2 * n)
            ]
            further[name].append(times[1] - times[0])
    python = statistics.median(a for a, _ in pairs)
    rates = {name: n / statistics.median(times) for name, times in further.items()}
    return {
        "images": n,
        "encode_images_per_second": round(n / python, 1),
        "bare_forward_images_per_second": round(n / statistics.median(b for _, b in pairs), 1),
        "encode_over_bare_rate": round(statistics.median(b / a for a, b in pairs), 4),
        "further_images_per_second": {name: round(rate, 1) for name, rate in rates.items()},
        "command_over_encode_rate": round(rates["command"] / rates["encode"], 4),
    }


def _jpeg(
    hasher: Hasher, cifar: np.ndarray, folder: Path, n: int, before: subprocess.Popen | None
) -> dict[str, object]:
    rng = np.random.default_rng(0)
    height, width = MEGAPIXELS
    found = {}
    for kind in ("noise", "gradients", "enlarged"):
        (folder / kind).mkdir()
        for i in range(n):
            if kind == "noise":
                image = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
            elif kind == "gradients":
                corners = Image.fromarray(rng.integers(0, 256, (3, 4, 3), np.uint8))
                image = corners.resize((width, height), Image.Resampling.BILINEAR)
            else:
                large = Image.fromarray(cifar[i]).resize((width, height), Image.Resampling.BICUBIC)
                grain = rng.integers(-12, 13, (height, width, 1), np.int16)
                image = Image.fromarray(np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8))
            image.save(folder / kind / f"{i}.jpg", quality=90)
        paths = sorted((folder / kind).iterdir())
        smaller, in_full = hasher, _with(hasher, InFull)
        codes, seconds = {}, {"smaller": [], "in_full": [], "before": [], "before_with_threads": []}
        for _ in range(3):
            if before is not None:
                print(folder / kind, file=before.stdin, flush=True)
                taken = map(float, before.stdout.readline().split())
                for name in ("before", "before_with_threads"):
                    seconds[name].append(next(taken))
            for name, each in (("smaller", smaller), ("in_full", in_full)):
                started = time.perf_counter()
                codes[name] = each.encode(paths)
                seconds[name].append(time.perf_counter() - started)
        flipped = np.bitwise_count(codes["smaller"].words ^ codes["in_full"].words).sum()
        rates = {name: n / statistics.median(times) for name, times in seconds.items() if times}
        found[kind] = {
            "images_per_second": round(rates["smaller"], 2),
            "in_full_images_per_second": round(rates["in_full"], 2),
            "ratio": round(rates["smaller"] / rates["in_full"], 2),
            "bits_that_differ": round(float(flipped) / (n * hasher.bits), 5),
            **{f"{name}_images_per_second": round(rate, 2) for name, rate in rates.items() if "before" in name},
            **{f"over_{name}": round(rates["smaller"] / rate, 2) for name, rate in rates.items() if "before" in name},
        }
    return found


def _hasher(weights: str, size: int, options: dict[str, object]) -> Hasher:
    """A head of 64 random directions of the features, centred on CIFAR-10, so that a bit is as often 0 as 1."""
    backbone = build_backbone("mobilenetv2_100", weights=weights, size=size, **options)
    data = load_protocol("cifar10-1")
    config = RunConfig(
        method="lsh",
        recipe=METHODS["lsh"].recipe_class().model_dump(mode="json"),
        bits=64,
        protocol=data.name,
        checksum=data.checksum,
        classes=data.pool.classes,
        items=len(data.train),
        backbone=backbone.config,
        features=backbone.features,
    )
    features = encode_features(backbone, data.pool.images, data.train[:1000]).features
    method = METHODS["lsh"](config.task)
    method.fit(torch.from_numpy(features), torch.zeros(len(features), 10))
    return Hasher(backbone, method.head, 64, config=config).eval()


def _with(hasher: Hasher, kind: type[Preprocess]) -> Hasher:
    changed = copy.deepcopy(hasher)
    config = changed.backbone.config
    changed.backbone.config = config.model_copy(update={"preprocess": kind(**config.preprocess.model_dump())})
    return changed


def _run(program: str, run: Path, images: Path, out: Path) -> None:
    command = [sys.executable, "-c", program, "encode", str(run), str(images), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)


def _before(arguments: argparse.Namespace) -> subprocess.Popen | None:
    if arguments.before is None:
        return None
    command = [sys.executable, "-c", BEFORE, arguments.weights, str(arguments.size)]
    source = {**os.environ, "PYTHONPATH": arguments.before}
    return subprocess.Popen(command, env=source, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _timed(run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()
