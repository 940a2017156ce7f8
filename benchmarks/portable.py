"""A hasher as ONNX: bits that differ from torch's, images/s in float32 and in 8 bits, and the mAP that 8 bits cost.

    BITSEEK_DATA=… python benchmarks/portable.py RUN

RUN is of a protocol on CIFAR-10: `bitseek train orthohash cifar10-1 --frozen --backbone mobilenetv2_100 …` makes one.

1. Codes: the first images of CIFAR-10's test part through torch and through ONNX: the bits that differ, and the largest
   |logit| of torch's among them, beside the bound that bitseek states.
2. Speed, at the same number of threads, one after the other in every round: the forward pass over the same squares, and
   `encode` of PNG files, by the clock and by the time of the process.
3. mAP on the run's own protocol (or a part of it, with --database) for each of the three.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from record import record

FORMS = ("torch", "onnx", "int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--images", type=int, default=10_000, help="of the test part, for the bits that differ")
    parser.add_argument("--timed", type=int, default=512, help="squares and PNG files in one round of the clock")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--queries", type=int, help="of the protocol; all by default")
    parser.add_argument("--database", type=int, help="of the protocol; all by default")
    parser.add_argument(
        "--calibration", type=int, default=128, help="training images for the ranges of the activations"
    )
    parser.add_argument("--only", choices=FORMS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        timed_alone(arguments)
        return

    import torch

    from bitseek.data import load_protocol
    from bitseek.portable import LOGIT_BOUND, OnnxHasher, export_onnx, quantise
    from bitseek.runs import Hasher

    torch.set_num_threads(arguments.threads)
    hasher = Hasher.load(arguments.run)
    protocol = hasher.config.origin.load() if hasher.config.origin else load_protocol("cifar10-1")
    pixels = protocol.pool.images.array
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        exported = export_onnx(hasher, folder / "onnx.onnx")
        export_seconds = time.perf_counter() - started
        started = time.perf_counter()
        train = protocol.train[: 20 * arguments.calibration]
        small = quantise(
            exported, pixels[train], folder / "int8.onnx", sample=arguments.calibration, threads=arguments.threads
        )
        quantise_seconds = time.perf_counter() - started
        models = {
            "torch": hasher,
            "onnx": OnnxHasher(exported, threads=arguments.threads),
            "int8": OnnxHasher(small, threads=arguments.threads),
        }
        test = pixels[50_000 : 50_000 + arguments.images]  # the pool has the training part first
        result = {
            "run": hasher.config.title,
            "backbone": hasher.backbone.config.name,
            "size": hasher.preprocess.size,
            "threads": arguments.threads,
            "export_seconds": round(export_seconds, 1),
            "quantise_seconds": round(quantise_seconds, 1),
            "megabytes": {
                "torch": megabytes(Path(arguments.run) / "model.safetensors"),
                "onnx": megabytes(exported),
                "int8": megabytes(small),
            },
            "codes": codes(models, test, LOGIT_BOUND),
            "speed": speed(arguments, folder, test),
            "mAP": ranking(models, protocol, arguments.queries, arguments.database),
        }
    print(json.dumps(result, indent=1))
    record("portable", result)


def codes(models, images, bound) -> dict[str, object]:
    """Bits that differ from torch's, and how far from zero torch's logit was."""
    logits = {name: model.logits(images) for name, model in models.items()}
    exact, mean = logits["torch"], float(np.abs(logits["torch"]).mean())
    found: dict[str, object] = {"images": len(images), "bits": int(exact.size), "mean_logit": round(mean, 4)}
    for name in ("onnx", "int8"):
        differ = (logits[name] >= 0) != (exact >= 0)
        found[name] = {
            "bits_that_differ": int(differ.sum()),
            "share": float(f"{differ.mean():.3g}"),
            "largest_logit_among_them": float(f"{np.abs(exact[differ]).max(initial=0):.3g}"),
            "largest_difference_of_logits": float(f"{np.abs(logits[name] - exact).max():.3g}"),
        }
    found["stated_bound"] = float(f"{bound * mean:.3g}")
    return found


def speed(arguments, folder: Path, images: np.ndarray) -> dict[str, object]:
    """Images/s, each form in a process of its own, in turn; medians over the rounds."""
    (folder / "png").mkdir()
    for i, image in enumerate(images[: arguments.timed]):
        Image.fromarray(image).save(folder / "png" / f"{i:05d}.png")
    times: dict[str, dict[str, list[float]]] = {form: {} for form in FORMS}
    for _ in range(arguments.rounds):
        for form in FORMS:
            given = ["--only", form, "--folder", str(folder), "--threads", str(arguments.threads)]
            done = subprocess.run(
                [sys.executable, __file__, arguments.run, *given], capture_output=True, text=True, check=True,
                env={**os.environ, "BITSEEK_THREADS": str(arguments.threads)},
            )  # fmt: skip
            for name, value in json.loads(done.stdout).items():
                times[form].setdefault(name, []).append(value)
    rates = {
        form: {name: round(statistics.median(values), 1) for name, values in found.items()}
        for form, found in times.items()
    }
    ratios = {
        f"{form}_over_torch_{name}": round(rates[form][name] / rates["torch"][name], 2)
        for form in ("onnx", "int8")
        for name in rates["torch"]
    }
    return {"images": min(arguments.timed, len(images)), "images_per_second": rates, **ratios}


def timed_alone(arguments) -> None:
    """One round of one form, printed as JSON: images/s by the clock and by the time of the process."""
    from bitseek.images import as_images, batches
    from bitseek.portable import load

    if arguments.only == "torch":
        import torch

        torch.set_num_threads(arguments.threads)
        model = load(arguments.run)
    else:
        model = load(Path(arguments.folder) / f"{arguments.only}.onnx", threads=arguments.threads)
    paths = sorted((Path(arguments.folder) / "png").iterdir())
    ready = [batch for _, batch in batches(as_images(paths), model.preprocess, unreadable={})]

    def forward() -> None:
        for batch in ready:
            model.logits_of(batch)

    found = {}
    for name, work in (("forward", forward), ("encode_png", lambda: model.encode(paths))):
        model.logits_of(ready[0])
        clock, process = time.perf_counter(), time.process_time()
        work()
        found[name] = len(paths) / (time.perf_counter() - clock)
        found[f"{name}_by_process_time"] = len(paths) / (time.process_time() - process)
    print(json.dumps(found))


def ranking(models, protocol, queries, database) -> dict[str, object]:
    """mAP over the whole ranking of a part of the protocol, each form searching its own codes."""
    from bitseek.metrics import histograms, measure

    draw = np.random.default_rng(0)
    asked = protocol.query if queries is None else draw.choice(protocol.query, queries, replace=False)
    searched = protocol.database if database is None else draw.choice(protocol.database, database, replace=False)
    relevance = protocol.relevance(asked, searched)
    images = protocol.pool.images
    found: dict[str, object] = {"queries": len(asked), "database": len(searched)}
    for name, model in models.items():
        ours, theirs = (model.encode(images.rows(ids)) for ids in (asked, searched))
        found[name] = round(float(measure(histograms(ours, theirs, relevance)).mAP), 4)
    return found


def megabytes(path: Path) -> float:
    return round(path.stat().st_size / 1e6, 2)


if __name__ == "__main__":
    main()
