"""What the tests of the ledgers of whole networks share."""

import numpy as np
import pytest

from bitseek.data import Pool, Protocol
from bitseek.images import Pixels


@pytest.fixture
def four_classes():
    """A protocol of 80 images of 8 x 8 pixels, each class brighter than the one before."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(4), 20)
    images = rng.integers(0, 60, (80, 8, 8, 3)) + 50 * labels[:, None, None, None]
    pool = Pool(Pixels(images.astype(np.uint8)), labels, tuple("abcd"))
    return Protocol("here", pool, np.arange(40), np.arange(40, 60), np.r_[:40, 60:80])
