"""Whether a hidden layer in front of the head helps where the whole network learns: with it and without, per method.

    python benchmarks/front_of_network.py --weights mobilenetv2_100.safetensors --root DATA

Each training is one of the fine-tuning ledger (see `finetuned_ledger.py`: network, size, the schedule that it chose)
with one seed, measured on a fifth of the training items, which are held out and are both queries and database. What a
method has of its own is what the frozen ledger chose for it, less its hidden layer; the layer is the one that `auto`
tries.

Writes benchmarks/results/front_of_network.json. Trainings that are done are kept in a cache.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bitseek.data import load_protocol
from bitseek.training._search import FRONT
from finetuned_ledger import CACHE, SEEDS, Ledger, Network, chosen_heads
from finetuned_ledger import NAME as FINETUNED
from record import RESULTS, record

NAME = "front_of_network"
METHODS = ("orthohash", "hashnet", "dnnh-resnet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True, help="of the backbone")
    parser.add_argument("--root", type=Path, help="folder of the data; by default that of BITSEEK_DATA")
    parser.add_argument("--cache", type=Path, default=CACHE.with_name(NAME), help="folder of what is trained already")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = load_protocol("cifar10-1", root=given.root, seed=0)
    network = Network("mobilenetv2_100", given.weights, 96)
    heads = chosen_heads(data.name, METHODS)
    ledger_file = RESULTS / f"{FINETUNED}.json"
    schedule = json.loads(ledger_file.read_text(encoding="utf-8"))["results"]["choice"]["schedule"]

    def reached(method: str, front: Mapping[str, Any]) -> float:
        ledger = Ledger(data, network, {method: heads[method] | front}, NAME, given.cache)
        return float(ledger.trial(method, schedule, SEEDS[0], choosing=True)["mAP"])

    rows = [{"method": method, "without": reached(method, {}), "with": reached(method, FRONT)} for method in METHODS]
    print(*rows, sep="\n")
    about = {"protocol": data.describe(), "network": network.describe(), "schedule": schedule, "front": dict(FRONT)}
    record(NAME, about | {"rows": rows})


if __name__ == "__main__":
    main()
