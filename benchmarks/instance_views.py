"""A small set for retrieval of instances, made of photos: several views of each, as landmarks are photographed.

    python benchmarks/instance_views.py FOLDER --train other --root DATA
    bitseek train orthohash revisited:FOLDER --backbone mobilenetv2_100 --size 96

An instance is one photo of CIFAR-100 (32 pixels, enlarged), a view of it another viewpoint (perspective, crop, turn),
light, sharpness, and something that stands before it. What is searched are views of photos of buildings and roads, as
in Oxford and Paris: for each of the instances that are asked for easy, hard and junk views by how strong the change
is, and views of other photos of the same kinds. What trains are views of other photos: of buildings too (`same`), or of
anything else (`other`), as landmarks of the world are when Oxford is searched. The layout is that of `revisited:PATH`.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from bitseek.data import Pool, load_protocol

BUILDINGS = ("bridge", "castle", "house", "road", "skyscraper")
"""The classes of CIFAR-100 that are large man-made outdoor things."""
SIDE = 112
"""Pixels of a view, of which a backbone at 96 pixels sees the middle."""
MARGIN = 24
"""Pixels of the enlarged photo's mirrored surroundings, into which a view may look."""


@dataclass(frozen=True)
class Strength:
    """How far a view may be from its photo.

    Attributes:
        corner: greatest shift of a corner, as a share of the side.
        crop: least side of what is seen, as a share of the photo's.
        turn: greatest turn, in degrees.
        light: greatest change of brightness, contrast and saturation: factors e^±light.
        blur: greatest radius in pixels.
        hidden: greatest share of the area that something else covers.
        least: each of these is at least this share of its greatest.
    """

    corner: float
    crop: float
    turn: float
    light: float
    blur: float
    hidden: float
    least: float = 0.0


STRENGTHS = {
    "query": Strength(0.05, 0.9, 5, 0.1, 0.5, 0.0),
    "easy": Strength(0.12, 0.75, 12, 0.3, 1.0, 0.1),
    "hard": Strength(0.16, 0.65, 18, 0.45, 1.6, 0.2, 0.4),
    "junk": Strength(0.35, 0.3, 45, 1.0, 5.0, 0.75, 0.7),
    "train": Strength(0.16, 0.65, 18, 0.45, 1.6, 0.2),
}
VIEWS = {"easy": 4, "hard": 4, "junk": 3}


def view(photo: Image.Image, other: Image.Image, strength: Strength, rng: np.random.Generator) -> Image.Image:
    """One view of a photo.

    Args:
        photo: (SIDE, SIDE) RGB.
        other: the same; a piece of it stands before the photo.
        strength: how far the view may be.
        rng: from which it is drawn.
    """

    def draw(greatest: float) -> float:
        return float(greatest * rng.uniform(strength.least, 1))

    side = SIDE * (1 - draw(1 - strength.crop))
    turn = np.deg2rad(draw(strength.turn) * rng.choice([-1, 1]))
    square = side / 2 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    square = square @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    square += rng.uniform(-1, 1, (4, 2)) * draw(strength.corner) * side
    square += SIDE / 2 + rng.uniform(-0.5, 0.5, 2) * (SIDE - side)
    surrounded = Image.fromarray(np.pad(np.asarray(photo), ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), "reflect"))
    seen = surrounded.transform(
        (SIDE, SIDE), Image.Transform.PERSPECTIVE, homography(square + MARGIN), Image.Resampling.BICUBIC
    )
    side, slant = SIDE * np.sqrt(draw(strength.hidden)), np.exp(rng.uniform(-0.3, 0.3))
    width, height = (min(SIDE, round(size)) for size in (side * slant, side / slant))
    if width and height:
        place = (int(rng.integers(0, SIDE - width + 1)), int(rng.integers(0, SIDE - height + 1)))
        seen.paste(other.crop((0, 0, width, height)), place)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        seen = change(seen).enhance(float(np.exp(draw(strength.light) * rng.choice([-1, 1]))))
    return seen.filter(ImageFilter.GaussianBlur(draw(strength.blur)))


def homography(corners: np.ndarray) -> list[float]:
    """Pillow's 8 coefficients of the perspective that shows the quadrangle (4, 2) as the square of SIDE."""
    target = SIDE * np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    rows, values = [], []
    for (x, y), (u, v) in zip(target, corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return [float(c) for c in np.linalg.solve(np.array(rows), np.array(values))]


def make(
    folder: Path,
    train: Literal["same", "other"],
    *,
    root: Path | None = None,
    queries: int = 100,
    distractors: int = 1800,
    instances: int = 1000,
    views: int = 6,
    seed: int = 0,
) -> None:
    """Write the set into a folder, which must be empty or absent.

    What is searched does not depend on what trains: it is drawn from a seed of its own.

    Args:
        folder: where.
        train: the photos that are trained on: of the kinds that are searched, or of all others.
        root: where CIFAR-100 lies.
        queries: instances that are asked for.
        distractors: photos of which one view is searched, and none is asked for.
        instances: that are trained on.
        views: of each of them.
        seed: of all.
    """
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty")
    pool = load_protocol("cifar100", root, download=False).pool
    kind = np.isin(np.asarray(pool.classes)[pool.labels.numbers], BUILDINGS)
    buildings = np.random.default_rng(seed).permutation(np.flatnonzero(kind))
    others = np.random.default_rng(seed + 1).permutation(np.flatnonzero(~kind))
    asked, rest = buildings[:queries], buildings[queries : queries + distractors]
    taught = (buildings[queries + distractors :] if train == "same" else others)[:instances]
    if len(rest) < distractors or len(taught) < instances:
        raise SystemExit(f"{len(buildings)} photos of buildings are too few for that many instances")
    views_of = Views(folder, pool, others, seed)
    truth = write_searched(views_of, asked, rest)
    for number, item in enumerate(taught.tolist()):
        for turn in range(views):
            views_of.write(f"train/{number:04}/{turn}.jpg", item, "train")
    (folder / "gnd.json").write_text(json.dumps(truth))


@dataclass(frozen=True)
class Views:
    """Writes views of the photos of a pool into a folder; `others` are those that may stand before a photo."""

    folder: Path
    pool: Pool
    others: np.ndarray
    seed: int

    def write(self, name: str, item: int, strength: str) -> None:
        """One view, which is drawn from its name alone."""
        rng = np.random.default_rng([self.seed, *name.encode()])
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        other = self.photo(int(rng.choice(self.others)))
        view(self.photo(item), other, STRENGTHS[strength], rng).save(file, quality=90)

    def photo(self, item: int) -> Image.Image:
        """A photo of the pool, enlarged."""
        small = Image.fromarray(self.pool.images.rows([item])[0])
        return small.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def write_searched(views: Views, asked: np.ndarray, rest: np.ndarray) -> dict[str, Any]:
    """Write queries and database; returns the ground truth."""
    names: list[str] = []
    truth: list[dict[str, list[int]]] = []
    for number, item in enumerate(asked.tolist()):
        views.write(f"jpg/query_{number:04}.jpg", item, "query")
        truth.append({})
        for level, count in VIEWS.items():
            truth[-1][level] = [len(names) + turn for turn in range(count)]
            for turn in range(count):
                names.append(f"view_{number:04}_{level}_{turn}")
                views.write(f"jpg/{names[-1]}.jpg", item, level)
    for number, item in enumerate(rest.tolist()):
        names.append(f"other_{number:04}")
        views.write(f"jpg/{names[-1]}.jpg", item, "easy")
    return {"imlist": names, "qimlist": [f"query_{number:04}" for number in range(len(asked))], "gnd": truth}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", choices=["same", "other"], default="other")
    parser.add_argument("--root", type=Path, help="folder of the data; by default BITSEEK_DATA")
    given = parser.parse_args()
    make(given.folder, given.train, root=given.root)


if __name__ == "__main__":
    main()
