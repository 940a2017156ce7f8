"""What it costs that a loss sees the batch of all processes: a step with the gathering against plain DDP.

    python benchmarks/gathering.py [--processes 2] [--backbones small-cnn resnet18] [--batch 128] [--steps 30]

Processes on this machine, one thread each, joined by gloo; no GPU. Three sides take turns, step by step, with the same
images, augmentation and optimiser:

gathered   a step of `Loop`, as `bitseek train` does it: features of all ranks are gathered with their gradient, head
           and loss see the whole batch on every rank, batch norm is synchronised
local norm the same, but each rank normalises its own rows, as plain DDP does
plain DDP  torch's DistributedDataParallel around backbone, head and loss: each rank's loss is of its own rows, which
           for losses over pairs or whole batches is another loss

Methods: pairs (hashnet), statistics of the batch (relahash, bihalf), items alone (orthohash). Wall time of a step on
rank 0, the ranks begin together; median. Data: digits, scaled up to the size of the backbone.
"""

import argparse
import copy
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

import bitseek
from bitseek.methods import Batch
from bitseek.models import Draws, any_rank, augment, rank, ranks, rows_of_rank
from bitseek.training._loop import Loop
from bitseek.training._optimiser import make_optimiser
from record import record

SIZES = {"small-cnn": 28, "resnet18": 32}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--processes", type=int, default=2)
parser.add_argument("--backbones", nargs="+", default=list(SIZES), choices=list(SIZES))
parser.add_argument("--methods", nargs="+", default=["hashnet", "relahash", "bihalf", "orthohash"])
parser.add_argument("--batch", type=int, default=128, help="of all processes")
parser.add_argument("--bits", type=int, default=64)
parser.add_argument("--steps", type=int, default=30)
parser.add_argument("--name", default="gathering")
options = parser.parse_args()


def loop_of(method: str, backbone: str) -> Loop:
    """A training that is ready to begin."""
    made: list[Loop] = []
    run = Loop.run
    Loop.run = lambda self: made.append(self)  # type: ignore[method-assign]
    try:
        data = bitseek.load_protocol("digits")
        settings: dict[str, Any] = {"backbone": backbone, "weights": None, "size": SIZES[backbone]}
        bitseek.train(method, data, bits=options.bits, device="cpu", precision="fp32", **settings)
    finally:
        Loop.run = run  # type: ignore[method-assign]
    made[0].learner.train()
    made[0].generators = [torch.default_generator]
    return made[0]


class Whole(nn.Module):
    """Backbone, head and loss of some rows, as DDP wants them: in one `forward`."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.backbone, self.method = copy.deepcopy(loop.backbone), copy.deepcopy(loop.method)
        forget_ranks(self.backbone)

    def forward(self, inputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        features = self.backbone(inputs)
        batch = Batch(logits=self.method.head(features), features=features, labels=labels, index=index, progress=0.0)
        return torch.stack(list(self.method.loss(batch).values())).sum()


def forget_ranks(backbone: nn.Module) -> None:
    """Batch norm over the rank's own rows again."""
    for module in backbone.modules():
        vars(module).pop("forward", None)


def plain(loop: Loop) -> Callable[[Any, Tensor], None]:
    """The step of DDP with what is in a loop."""
    whole = Whole(loop)
    shared = nn.parallel.DistributedDataParallel(whole)
    optimiser = make_optimiser(whole.method, whole.backbone, loop.recipe)

    def step(rows: Any, images: Tensor) -> None:
        draws = Draws(loop.augmentation, len(rows), slice(0, len(rows)))
        views = [
            augment(images, kind, loop.preprocess, draws, mirror=loop.items.mirror) for kind in loop.method.augments
        ]
        labels = torch.from_numpy(loop.items.labels.multi_hot(rows)).float()
        index = torch.from_numpy(loop.number[rows])
        optimiser.zero_grad(set_to_none=True)
        shared(torch.cat(views).contiguous(memory_format=torch.channels_last), labels, index).backward()
        optimiser.step()

    return step


def measure(method: str, backbone: str) -> dict[str, Any]:
    gathered, local = loop_of(method, backbone), loop_of(method, backbone)
    forget_ranks(local.learner["backbone"])

    def whole_step(loop: Loop) -> Callable[[Any, Tensor], None]:
        def step(rows: Any, images: Tensor) -> None:
            loop.take_step(rows, images, 0.0)
            any_rank([False, False], loop.device)  # as after every step: is it interrupted, is a checkpoint due?

        return step

    sides = {"gathered": whole_step(gathered), "local norm": whole_step(local), "plain DDP": plain(gathered)}
    whole = gathered.items.train[: options.batch]
    ((rows, images),) = gathered.loader.batches([whole[rows_of_rank(len(whole))]])
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(options.steps + 5):
        for name, step in sides.items():
            dist.barrier()
            begin = time.perf_counter()
            step(rows, images)
            if turn >= 5:
                seconds[name].append(time.perf_counter() - begin)
    taken = {name: 1e3 * median(values) for name, values in seconds.items()}
    row: dict[str, Any] = {"method": method, "backbone": backbone, "side_px": SIZES[backbone], "batch": len(whole)}
    row |= {"parameters": sum(each.numel() for each in gathered.learner.parameters()), "step_ms": taken}
    return row | {
        "gathered_over_plain": taken["gathered"] / taken["plain DDP"],
        "gathered_with_local_norm_over_plain": taken["local norm"] / taken["plain DDP"],
    }


def work() -> None:
    """What each process does."""
    torch.set_num_threads(1)
    for backbone in options.backbones:
        for method in options.methods:
            row = measure(method, backbone)
            if rank() == 0:
                print(json.dumps(row | {"processes": ranks()}), flush=True)


def main() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(options.processes)}
    load, rows = os.getloadavg()[0], []
    started = [
        subprocess.Popen(
            [sys.executable, *sys.argv],
            env=os.environ | common | {"RANK": str(number), "LOCAL_RANK": str(number), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(options.processes)
    ]
    assert started[0].stdout is not None
    for line in started[0].stdout:
        row = json.loads(line)
        rows.append(row)
        times = ", ".join(f"{name} {value:.1f} ms" for name, value in row["step_ms"].items())
        print(
            f"{row['method']:10} {row['backbone']:10} {times}; over plain DDP {row['gathered_over_plain']:.2f}, "
            f"with local norm {row['gathered_with_local_norm_over_plain']:.2f}",
            flush=True,
        )
    if any(process.wait() for process in started):
        raise SystemExit("a process failed")
    record(options.name, {"data": "digits", "load_before": load, "rows": rows})


if "RANK" in os.environ:
    work()
else:
    main()
