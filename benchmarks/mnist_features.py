"""Features of MNIST by a `small-cnn` that was trained by plain classification of a few of the training items.

    python benchmarks/mnist_features.py mnist.npz [--train 100] [--epochs 10]

A network that saw the labels of all 60,000 training items gives features on which every method of the frozen ledger
reaches .998, and nothing is compared. So it is trained on 100 a class, drawn from seed 0, for some epochs of plain
cross-entropy; then all 70,000 images go through it once. None of the 100 is among the training items of the ledger: its
held-out items would otherwise be in part items whose labels the features know, and choose what fits those. MNIST is
where BITSEEK_DATA says.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bitseek.data import Protocol, load_protocol, save_features
from bitseek.runs import encode_features
from bitseek.training import train
from frozen_ledger import TRAIN, a_class


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the .npz file to write")
    parser.add_argument("--train", type=int, default=100, help="items of each class that the network is trained on")
    parser.add_argument("--epochs", type=int, default=10)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = load_protocol("mnist")
    few = replace(data, train=left_by_ledger(data, given.train), origin=None)
    hasher = train("ce", few, bits=64, backbone="small-cnn", device="cpu", epochs=given.epochs, batch_size=50,
                   lr=1e-3, backbone_lr=1.0, augment="none", threads=1)  # fmt: skip
    assert hasher.backbone is not None
    features = encode_features(hasher.backbone.eval(), data.pool.images, threads=1).features
    save_features(given.out, data, features, hasher.backbone.config.model_dump(mode="json"))
    print(f"{given.out}: {features.shape[0]} × {features.shape[1]}")


def left_by_ledger(data: Protocol, items: int) -> np.ndarray:
    """So many training items of each class that the ledger does not train on, ascending."""
    taken = TRAIN // len(data.pool.classes)
    return np.setdiff1d(a_class(data, taken + items), a_class(data, taken))


if __name__ == "__main__":
    main()
