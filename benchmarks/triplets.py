"""Time of a training step on all triplets of a 10 × 8 batch, as a multiple of that of the pair losses.

One step: 80 features of 512 numbers → head → loss → gradient → optimiser (SGD), on the CPU with one thread or on the
GPU with `--device cuda`. The steps of all methods are interleaved, so that other load on the machine hits all alike.

    python benchmarks/triplets.py [--bits 64] [--rounds 300] [--device cpu]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from bitseek.methods import METHODS, Batch, Task
from bitseek.methods._triplets import batch_triplets
from record import record

CLASSES, IMAGES, FEATURES = 10, 8, 512
PAIRS = ("dsh", "hashnet", "dhn", "dch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    labels = torch.eye(CLASSES).repeat_interleave(IMAGES, dim=0).to(arguments.device)
    features = torch.randn(len(labels), FEATURES, device=arguments.device)
    names = ("dnnh-resnet", *PAIRS)
    steps = {name: step_of(name, features, labels, arguments.bits) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(arguments.rounds + 20):
        for name in names:
            taken = timed(steps[name], arguments.device)
            if number >= 20:
                seconds[name].append(taken)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    triplets = len(batch_triplets(labels, both_ways=False))
    result = {
        "triplets": triplets,
        "bits": arguments.bits,
        "device": torch.cuda.get_device_name() if arguments.device == "cuda" else f"{arguments.device}, one thread",
        "torch": torch.__version__,
        "rounds": arguments.rounds,
        "milliseconds": {name: round(1e3 * median, 4) for name, median in medians.items()},
        "ratio": {name: round(medians["dnnh-resnet"] / medians[name], 3) for name in PAIRS},
    }
    print(f"{triplets} triplets; a step takes, as a multiple of a pair loss: {result['ratio']}")
    record("triplets", result)


def step_of(name: str, features: torch.Tensor, labels: torch.Tensor, bits: int) -> Callable[[], None]:
    """One step of a method on a batch that stays the same."""
    task = Task(features=FEATURES, bits=bits, classes=CLASSES, items=len(labels))
    method = METHODS[name](task).to(features.device).train()
    optimiser = torch.optim.SGD(method.parameters(), lr=1e-4, momentum=0.9)
    index = torch.arange(len(labels), device=features.device)

    def step() -> None:
        batch = Batch(logits=method.head(features), features=features, labels=labels, index=index)
        loss = torch.stack(list(method.loss(batch).values())).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


def timed(step: Callable[[], None], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
