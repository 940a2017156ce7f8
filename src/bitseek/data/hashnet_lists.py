"""The protocols that are published as list files: ImageNet100, NUS-WIDE, MS-COCO, MIRFlickr-25k and VOC2012.

Sizes and checksums are those of the lists that the names stand for. Two names that look alike are two splits whose
figures must not be compared; `docs/protocols.md` says how they differ.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bitseek.data.lists import find_list, from_lists
from bitseek.data.pool import Paths
from bitseek.data.protocol import ROLES, Protocol
from bitseek.data.sources import require
from bitseek.data.spec import ProtocolSpec
from bitseek.errors import DataError

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

DEEPHASH = "the lists of swuxyj/DeepHash-pytorch on GitHub, data/{}"
HASHNET = "the lists of thuml/HashNet on GitHub, pytorch/data/{}"


@dataclass(frozen=True)
class _Published:
    """What is known about the lists of one name."""

    name: str
    summary: str
    citation: str
    sizes: tuple[int, int, int | None]
    at: int | None
    lists: str
    pictures: str
    folder: str | None = None
    strip: str = ""
    classes: tuple[str, ...] | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)

    @property
    def images(self) -> str:
        return self.folder or self.name

    @property
    def needs(self) -> str:
        return (
            f"Put {self.lists}, as train.txt, test.txt and database.txt (or .txt.xz), into ROOT/{self.name}, or give "
            f"their folder by the option lists; put {self.pictures} into ROOT/{self.images}, or give that folder by "
            "the option images"
        )


def _load(
    published: _Published,
    root: Path,
    seed: int,
    lists: str | Path | None = None,
    images: str | Path | None = None,
    check_images: bool = True,
) -> Protocol:
    """The split of the lists; nothing is drawn.

    Args:
        published: which.
        root: the folder of all data sets.
        seed: not used.
        lists: the folder of the list files; by default ROOT/NAME.
        images: the folder that the listed paths start from.
        check_images: look whether every image is there.
    """
    folder = root / published.name if lists is None else Path(lists).expanduser()
    files = {
        role: find_list(folder, name)
        for role, name in zip(ROLES, ("train.txt", "test.txt", "database.txt"), strict=True)
    }
    require(list(files.values()), published.needs.replace("ROOT", str(root)))
    return from_lists(
        published.name,
        files,
        root / published.images if images is None else Path(images).expanduser(),
        strip=published.strip,
        at=published.at,
        classes=published.classes,
        check_images=check_images,
    )


def _load_imagenet100(
    published: _Published,
    root: Path,
    seed: int,
    lists: str | Path | None = None,
    images: str | Path | None = None,
    check_images: bool = True,
) -> Protocol:
    """As `_load`, with the WordNet number of each class, which its training images have in their names."""
    loaded = _load(published, root, seed, lists, images, check_images)
    files = loaded.pool.images
    names: dict[int, str] = {}
    for i in loaded.train.tolist():
        match = re.search(r"n\d{8}", files.relative[i]) if isinstance(files, Paths) else None
        label = int(loaded.pool.labels[i])
        if match is None or names.setdefault(label, match[0]) != match[0]:
            raise DataError(
                f"imagenet100: {loaded.pool.key(i)!r} is not named after its class, as ImageNet's files are"
            )
    classes = tuple(names.get(label, str(label)) for label in range(len(loaded.pool.classes)))
    return dataclasses.replace(loaded, pool=dataclasses.replace(loaded.pool, classes=classes))


def _spec(published: _Published) -> ProtocolSpec:
    load = _load_imagenet100 if published.name == "imagenet100" else _load
    return ProtocolSpec(
        name=published.name,
        summary=published.summary,
        citation=published.citation,
        sizes=published.sizes,
        at=published.at,
        needs=published.needs,
        load=functools.partial(load, published),
        checksums=published.checksums,
        queries_in_database=5_000 if published.name == "coco-hashnet" else 0,
    )


NUS_WIDE = "Chua et al. 2009, NUS-WIDE"
NUS_PICTURES = "the images of NUS-WIDE (the official download is dead; the lists' projects name copies)"
COCO = "Lin et al. 2014, MS-COCO"
COCO_PICTURES = "the images of COCO 2014 (folders train2014 and val2014, cocodataset.org)"

SPECS = tuple(
    _spec(published)
    for published in (
        _Published(
            "imagenet100",
            "100 classes of ImageNet; 130 training items and 50 queries (validation images) a class, mAP@1000",
            "Russakovsky et al. 2015, ILSVRC-2012; Cao et al. 2017, HashNet",
            (13_000, 5_000, 128_503),
            1000,
            HASHNET.format("imagenet"),
            "the training images of ILSVRC-2012 as image/WNID_NUMBER.JPEG and the validation images as val_image/…",
            checksums={
                "train": "0ad13d982e8218902c14558b305f8c5fa25e542c6a65001b83610d51d5ebf91f",
                "query": "869734242fe437e6f401bb8309e345ec826caf5defe08bbc442a0d0e79def3e5",
                "database": "5d528044c995ce4891c4527783b7325bfb51b9ac46642a8e4bf5220c81337b1a",
            },
        ),
        _Published(
            "nuswide-21",
            "the 21 most frequent concepts of NUS-WIDE, 195,834 images named INDEX_FLICKRID.jpg, mAP@5000",
            f"{NUS_WIDE}; DeepHash-pytorch nuswide_21",
            (10_500, 2_100, 193_734),
            5000,
            DEEPHASH.format("nuswide_21"),
            NUS_PICTURES,
            checksums={
                "train": "9a4e179a706ec277086857e4ab47aa607ff29a7cfb555b54a0c77b14a456b4fd",
                "query": "0510923f3139b3bec2496f952731ad8647f9b156524c09b857b28c8a03550c28",
            },
        ),
        _Published(
            "nuswide-21-m",
            "another draw of NUS-WIDE's 21 concepts, of 223,496 images named INDEX_FLICKRID_SECRET_m.jpg, mAP@5000",
            f"{NUS_WIDE}; DeepHash-pytorch nuswide_21_m, of which CSQ's lists are a part",
            (10_500, 2_100, None),
            5000,
            DEEPHASH.format("nuswide_21_m"),
            NUS_PICTURES,
            checksums={
                "train": "78741f7d71f0f8260a4ce8a7076e09560da008f7c56ccc1cb25bd5568e6f706e",
                "query": "dbb8273dce70f13ecaf51755324c0c0514c2d2fedba12cb09933b2d7a784f214",
            },
        ),
        _Published(
            "nuswide-81",
            "81 concepts of NUS-WIDE, HashNet's own lists (with images that have no label), mAP@5000",
            f"{NUS_WIDE}; Cao et al. 2017, HashNet",
            (10_000, 5_000, None),
            5000,
            HASHNET.format("nuswide_81"),
            NUS_PICTURES,
        ),
        _Published(
            "nuswide-81-m",
            "81 concepts of NUS-WIDE, the lists of DeepHash and DeepHash-pytorch, mAP@5000",
            f"{NUS_WIDE}; DeepHash-pytorch nuswide_81_m",
            (10_000, 5_000, None),
            5000,
            DEEPHASH.format("nuswide_81_m"),
            NUS_PICTURES,
            checksums={
                "train": "149c9e841e5cf4613abb478f7caf13cb45bce484041515c8d44c5f9286503bb6",
                "query": "fcd926d3c3f9f3077eeffba8b1d2667b484de2bf86991813754ba3b26456cc14",
            },
        ),
        _Published(
            "coco-hashnet",
            "MS-COCO, HashNet's lists: all queries are in the database (left out by id), no training item is, mAP@5000",
            f"{COCO}; Cao et al. 2017, HashNet (used by CSQ, Bi-half, OrthoHash, FIRe)",
            (10_000, 5_000, 112_218),
            5000,
            HASHNET.format("coco"),
            COCO_PICTURES,
            folder="coco",
            strip="data/coco/",
            checksums={
                "database": "60a55d09c1fad018a32b981c5d2eddd52dc1b7beb8ccbfe3c2e7b9c688aff76d",
            },
        ),
        _Published(
            "coco-tl",
            "MS-COCO, DeepHash's lists: training items are in the database, no query is, mAP@5000",
            f"{COCO}; thulab/DeepHash and DeepHash-pytorch coco",
            (10_000, 5_000, 117_218),
            5000,
            DEEPHASH.format("coco"),
            COCO_PICTURES,
            folder="coco",
            checksums={
                "train": "94cf0161a2e97c3aa3fa7a75391847469b2958e05e4d0b778ed13093ac51f99a",
                "query": "ed2e86a6c26822e95bb61e450accfd6bd9dd4bc1d858b1a2f535c298a8301813",
            },
        ),
        _Published(
            "mirflickr25k",
            "MIRFlickr-25k with its 38 annotations, database without the training items, mAP over all",
            "Huiskes and Lew 2008, MIRFlickr; DeepHash-pytorch mirflickr",
            (4_000, 1_000, 20_000),
            None,
            DEEPHASH.format("mirflickr"),
            "the images im1.jpg … im25000.jpg of mirflickr25k.zip",
            checksums={
                "train": "545b736ad4cd581ab5ea4c917076b6d13b6149263516c20149ee97b2db1f7d45",
                "query": "d74afc054c0b85043fbe99c34871bf118af3874070cab1c44276be4188971cd4",
                "database": "11ad27a4adfca7c4ac0371501e15bf14fc558892e6b5e4e748123828779fff3b",
            },
        ),
        _Published(
            "voc2012",
            "PASCAL VOC 2012, 20 classes, database without the training items, mAP over all",
            "Everingham et al. 2012, PASCAL VOC; DeepHash-pytorch voc2012",
            (4_000, 1_000, 6_540),
            None,
            DEEPHASH.format("voc2012"),
            "VOCdevkit, the unpacked VOCtrainval_11-May-2012.tar,",
            classes=VOC_CLASSES,
            checksums={
                "train": "05e6c6c9f5728f7d523f3a54ad0acffac2baa2d1ec63f22659682bf1f7f17de5",
                "query": "e90d9acb1600eac7b25592c5775f162b1a7bc049e135f110ab8fcbea1fd842a6",
                "database": "7622daf6ed2c58b47eb528519f0102de15573c44ac51b688f5497707ffd2d6dd",
            },
        ),
    )
)
