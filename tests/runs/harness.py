"""A hasher whose codes are nested: as training leaves it behind, but with the weights that it was born with."""

import numpy as np
import torch

from bitseek.methods import METHODS
from bitseek.models import BatchNormHead, build_backbone
from bitseek.runs import Hasher, RunConfig


def a_config(bits=24, lengths=(8, 16), **changed):
    recipe = METHODS["orthohash"].recipe_class(lengths=lengths)
    return RunConfig(**{
        "method": "orthohash", "recipe": recipe.model_dump(mode="json"), "bits": bits, "protocol": "toy",
        "checksum": "0" * 64, "classes": ("a", "b"), "items": 4, "features": 256,
        "backbone": build_backbone("small-cnn", size=8).config, **changed,
    })  # fmt: skip


def a_hasher(bits=24, lengths=(8, 16)):
    config = a_config(bits, lengths)
    torch.manual_seed(0)
    hasher = Hasher(build_backbone("small-cnn", size=8), BatchNormHead(256, bits), bits, config=config).eval()
    hasher.codewords = torch.ones(2, bits)
    hasher.train_items = np.arange(4, dtype=np.uint64)
    return hasher


def pictures(n=6):
    return np.random.default_rng(0).integers(0, 256, (n, 8, 8, 3), np.uint8)
