"""What the training loop costs over the bare forward and backward step on the same batches.

    python benchmarks/training_loop.py                        # small-cnn on digits
    python benchmarks/training_loop.py --protocol cifar10-1 --backbone mobilenetv2_100 --size 96 --batches 8
    python benchmarks/training_loop.py --device cuda --backbone resnet50 --size 224 --bf16 --name training_loop_gpu

Both sides run in turn in one process, on the same network and the same batches; the bare side gets its images ready
augmented and on the device, and does no more than forward, loss, backward and step. With `--compile` the loop runs the
network through `torch.compile` and the bare side as it is; what that gains, and what bf16 does, is told by the images a
second of a run with and of one without. The ratio of processor time is printed beside that of the clock, since other
programs disturb the clock more.
"""

import argparse
import statistics
import time

import numpy as np
import torch

from bitseek.data import load_protocol
from bitseek.methods import Batch, make_recipe, method_class
from bitseek.models import Draws, augment, pick_device
from bitseek.runs import Hasher, RunConfig
from bitseek.training import pick_backbone
from bitseek.training._checkpoint import Recorder
from bitseek.training._device import default_generators, environment
from bitseek.training._loop import Loop
from bitseek.training._validation import Items
from record import record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", default="digits")
    parser.add_argument("--backbone", default="small-cnn")
    parser.add_argument("--size", type=int)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--batches", type=int, default=18, help="steps of a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--name", default="training_loop")
    arguments = parser.parse_args()

    data = load_protocol(arguments.protocol)
    backbone = pick_backbone(data.pool, arguments.backbone, None, arguments.size)
    cls = method_class("orthohash")
    recipe = make_recipe(cls, {"batch_size": arguments.batch_size, "augment": "crop"})
    train = data.train[: arguments.batch_size * arguments.batches]
    config = RunConfig(
        method="orthohash", recipe=recipe.model_dump(mode="json"), bits=64, bf16=arguments.bf16, protocol=data.name,
        checksum=data.checksum, classes=data.pool.classes, items=len(train), backbone=backbone.config,
        features=backbone.features,
    )  # fmt: skip
    method = cls(config.task, recipe)
    items = Items(data.pool.images, data.pool.labels, train, train[:0], data.pool.mirror)
    device = pick_device(arguments.device)
    hasher = Hasher(backbone, method.head, 64, config=config, device=device)
    trainer = Loop(method, hasher, items, Recorder(None), compiled=arguments.compile)
    with default_generators(device) as generators:
        trainer.generators = generators

    draws = Draws(torch.Generator().manual_seed(0), arguments.batch_size)
    batches = []
    order = np.random.default_rng(0).permutation(len(train))[: len(train) - len(train) % arguments.batch_size]
    for positions in order.reshape(-1, arguments.batch_size):
        ((_, images),) = trainer.loader.batches([train[positions]])
        ready = augment(images, "crop", backbone.preprocess, draws, mirror=data.pool.mirror)
        labels = torch.from_numpy(data.pool.labels.multi_hot(train[positions])).float().to(device)
        index = torch.from_numpy(positions).to(device)
        batches.append((ready.contiguous(memory_format=torch.channels_last), labels, index))

    def bare() -> None:
        trainer.learner.train()
        for images, labels, index in batches:
            with torch.autocast(device.type, torch.bfloat16, enabled=arguments.bf16):
                features = backbone(images).float()
            logits = method.head(features)
            terms = method.loss(Batch(logits=logits, features=features, labels=labels, index=index))
            trainer.optimiser.zero_grad(set_to_none=True)
            torch.stack(list(terms.values())).sum().backward()
            trainer.optimiser.step()

    def loop() -> None:
        trainer.run_epoch(lambda: False)

    def timed(run) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - wall, time.process_time() - cpu

    bare(), loop()
    pairs = [(timed(loop), timed(bare)) for _ in range(arguments.rounds)]
    wall = statistics.median(a[0] / b[0] for a, b in pairs)
    cpu = statistics.median(a[1] / b[1] for a, b in pairs)
    images = len(batches) * arguments.batch_size
    result = {
        "device": environment(device)["device"],
        "protocol": data.name,
        "backbone": backbone.config.name,
        "size": backbone.preprocess.size,
        "batch_size": arguments.batch_size,
        "bf16": arguments.bf16,
        "compile": arguments.compile,
        "ratio_wall": round(wall, 4),
        "ratio_processor_time": round(cpu, 4),
        "loop_images_per_second": round(images / statistics.median(a[0] for a, _ in pairs), 1),
        "bare_images_per_second": round(images / statistics.median(b[0] for _, b in pairs), 1),
    }
    print(f"loop / bare step: {wall:.3f} by the clock, {cpu:.3f} in processor time; {result}")
    record(arguments.name, result)


if __name__ == "__main__":
    main()
