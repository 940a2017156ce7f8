"""scikit-learn's digits: 1,797 images of 8 × 8 pixels that are installed with the package, so they work offline."""

from pathlib import Path

import numpy as np

from bitseek.data.pool import Pixels, Pool
from bitseek.data.protocol import Protocol
from bitseek.data.spec import ProtocolSpec
from bitseek.data.splits import draw_per_class
from bitseek.errors import MissingExtra


def load(root: Path, seed: int) -> Protocol:
    """30 queries and 120 training items of each class; the database is everything but the queries."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtra("scikit-learn", "train") from error
    images, labels = load_digits(return_X_y=True)
    pixels = np.rint(images * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    classes = tuple(str(digit) for digit in range(10))
    labels = labels.astype(np.int64)
    query, train, rest = draw_per_class(labels, (30, 120), seed, classes=classes)
    pool = Pool(Pixels(pixels), labels, classes, mirror=False)
    return Protocol("digits", pool, train, query, np.union1d(train, rest), seed=seed)


SPECS = (
    ProtocolSpec(
        name="digits",
        summary="8 × 8 handwritten digits; 30 queries and 120 training items a class, database all but the queries",
        citation="Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits; as in scikit-learn",
        sizes=(1200, 300, 1497),
        at=None,
        needs="nothing to download: it comes with scikit-learn",
        load=load,
    ),
)
