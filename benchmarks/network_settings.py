"""What one setting more does where the whole network learns: with it and without, on held-out items.

    python benchmarks/network_settings.py --weights mobilenetv2_100.safetensors --root DATA [--only NAME]

Each training is one of the fine-tuning ledger (see `finetuned_ledger.py`: network, size, the schedule that it chose)
with one seed, measured on a fifth of the training items, which are held out and are both queries and database. What a
method has of its own is what the frozen ledger chose for it, less its hidden layer, and one setting of `SETTINGS`.

Writes benchmarks/results/network_settings.json. Trainings that are done are kept in a cache; with `--only` the rows of
one setting are trained, and nothing is written.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bitseek.data import load_protocol
from bitseek.training._search import FRONT
from finetuned_ledger import CACHE, SEEDS, Ledger, Network, chosen_heads
from finetuned_ledger import NAME as FINETUNED
from record import RESULTS, record

NAME = "network_settings"


@dataclass(frozen=True)
class Setting:
    """What is set, and the methods that are trained with it."""

    change: dict[str, Any]
    methods: tuple[str, ...]


SETTINGS = {
    "nothing": Setting({}, ("orthohash", "hashnet", "dnnh-resnet")),
    "hidden layer": Setting(dict(FRONT), ("orthohash", "hashnet", "dnnh-resnet")),
    "second view": Setting({"second_view": 0.1, "second_augment": "views"}, ("orthohash",)),
    "losses of prefixes": Setting({"lengths": (16, 32)}, ("orthohash",)),
}
"""The layer is that which `auto` tries for heads, the second view DHD's with its weight; the losses are unweighted."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True, help="of the backbone")
    parser.add_argument("--root", type=Path, help="folder of the data; by default that of BITSEEK_DATA")
    parser.add_argument("--cache", type=Path, default=CACHE.with_name(NAME), help="folder of what is trained already")
    parser.add_argument("--only", choices=SETTINGS, help="train with this setting, and write nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = load_protocol("cifar10-1", root=given.root, seed=0)
    network = Network("mobilenetv2_100", given.weights, 96)
    heads = chosen_heads(data.name, SETTINGS["nothing"].methods)
    ledger_file = RESULTS / f"{FINETUNED}.json"
    schedule = json.loads(ledger_file.read_text(encoding="utf-8"))["results"]["choice"]["schedule"]

    def row(name: str, method: str) -> dict[str, Any]:
        ledger = Ledger(data, network, {method: heads[method] | SETTINGS[name].change}, NAME, given.cache)
        trial = ledger.trial(method, schedule, SEEDS[0], choosing=True)
        return {"method": method, "with": name, "mAP": trial["mAP"], "seconds": trial["seconds"]}

    wanted = [given.only] if given.only else SETTINGS
    rows = [row(name, method) for name in wanted for method in SETTINGS[name].methods]
    print(*rows, sep="\n")
    if not given.only:
        changes = {name: setting.change for name, setting in SETTINGS.items()}
        about = {"protocol": data.describe(), "network": network.describe(), "schedule": schedule, "settings": changes}
        record(NAME, about | {"rows": rows})


if __name__ == "__main__":
    main()
