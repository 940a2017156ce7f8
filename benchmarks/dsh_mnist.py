"""DSH on MNIST with 8 bits: the code of each class, and mAP@all over the 10,000 test images.

python benchmarks/dsh_mnist.py [--epochs 5] [--seed 0] [--out runs/dsh-mnist-8]

The setting of DSH's PyTorch re-implementation (8 bits, all of MNIST, Xavier start, a small network trained from
scratch), which shows a table of each digit's most frequent code. Needs MNIST (see: bitseek protocols mnist); minutes on
a CPU.

The start decides: with init="normal", α = .01 and 6 epochs, two pairs of digits ended with one code each and mAP was
0.77 (the network tells them apart by the magnitude of its outputs, which the signs throw away).
"""

import argparse
import time
from pathlib import Path

from bitseek.data import load_protocol
from bitseek.evaluation import evaluate
from bitseek.report import class_codes
from bitseek.training import train
from record import record

RECIPE = {
    "init": "xavier", "batch_size": 128, "optimiser": "adam", "lr": 1e-3, "weight_decay": 1e-4, "augment": "none"
}  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--epochs", type=int, default=5)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--root", type=Path, help="folder of the data")
    arguments.add_argument("--out", type=Path, help="where to keep the run; nowhere by default")
    given = arguments.parse_args()
    data = load_protocol("mnist", root=given.root)
    start, cpu = time.perf_counter(), time.process_time()
    hasher = train("dsh", data, bits=8, backbone="small-cnn", out=given.out, seed=given.seed, epochs=given.epochs,
                   progress=show, **RECIPE)  # fmt: skip
    trained, cpu = time.perf_counter() - start, time.process_time() - cpu
    config, report = hasher.config, evaluate(hasher, data, progress=show_encoding)
    table = class_codes(report.database.codes, data.pool.labels[report.database.ids], radius=1)
    rows = [
        {
            "class": data.pool.classes[table.classes[i]],
            "code": table.codes[i].hex()[0],
            "items": int(table.items[i]),
            "with_this_code": round(float(table.same[i] / table.items[i]), 4),
            "within_1_bit": round(float(table.near[i] / table.items[i]), 4),
            "distinct_codes": int(table.distinct[i]),
            "mean_distance": round(float(table.spread[i]), 4),
            "nearest_other_class": int(min(d for j, d in enumerate(table.distances[i]) if j != i)),
        }
        for i in range(len(table))
    ]
    for row in rows:
        print(row)
    print(f"{report.title} {report.mAP:.4f} ({report.mAP_worst:.4f} … {report.mAP_best:.4f}), {trained:.0f} s")
    interval = report.interval
    record("dsh_mnist", {
        "method": "dsh", "protocol": "mnist", "checksum": data.checksum, "backbone": "small-cnn", "seed": given.seed,
        "recipe": config.recipe, "bf16": config.bf16, "fingerprint": report.fingerprint,
        "training_seconds": round(trained, 1), "training_cpu_seconds": round(cpu, 1),
        **report.main.to_json(), "interval": [interval.low, interval.high, interval.level],
        "class_table": rows, "class_distances": table.distances.tolist(),
    })  # fmt: skip


def show(now) -> None:
    tenth = 10 * now["step"] // now["steps"]
    if tenth != getattr(show, "told", None):
        show.told = tenth
        terms = " ".join(f"{name} {value:.4f}" for name, value in now["terms"].items())
        speed = f"{now['images_per_second']:.0f} images/s"
        print(f"epoch {now['epoch']}/{now['epochs']} {10 * tenth} % {terms} {speed}", flush=True)


def show_encoding(done: int, total: int) -> None:
    if done % 12_800 == 0 or done == total:
        print(f"encoded {done} of {total}", flush=True)


if __name__ == "__main__":
    main()
