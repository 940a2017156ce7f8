"""How `open` gets a model for a folder: a pretrained backbone, and a head that is fitted to the images in it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bitseek.cli._arguments import Compute, Network, literals
from bitseek.cli._console import counting, note
from bitseek.errors import BitseekError, RunError

if TYPE_CHECKING:
    from bitseek.models import Backbone
    from bitseek.training import Candidate, FittedFolder

SAMPLE, LABELLED = 1000, 20_000
"""Most images that a head is fitted to without labels, and with them."""


def fitted_to(
    folder: Path, backbone: str, network: Network, bits: int, seed: int, method: str | None, compute: Compute
) -> "FittedFolder":
    """A hasher for the images of a folder, and what was measured on the way; some of it is told.

    Raises:
        BitseekError: no images, no labels to learn from, or no weights for the backbone.
    """
    from bitseek.collection import FolderLabels
    from bitseek.images import find_images

    files = find_images(folder)
    if not files:
        raise BitseekError(f"there are no images in {folder}")
    label = FolderLabels(os.fsencode(folder))
    labels = [label(os.fsencode(file.relative_to(folder).as_posix())) for file in files]
    classes = {each for each in labels if each is not None}
    if method is not None and len(classes) < 2:
        raise BitseekError(
            f"{folder} has {len(classes)} labels, and two are the least to learn from: put the images into a "
            "sub-folder for each class, or write a labels.csv with the columns path and label"
        )
    built = _backbone(folder, backbone, network, seed)
    from bitseek.training import AUTO, fit_folder

    if method == AUTO:
        note("heads of many methods are tried on the labels, for about a minute")
    with counting("looking at a sample") as progress:
        fitted = fit_folder(
            built,
            files,
            bits=bits,
            seed=seed,
            sample=SAMPLE if method is None else LABELLED,
            labels=None if method is None else labels,
            method=method,
            name=f"folder:{folder.resolve()}",
            device=compute.device,
            threads=compute.threads,
            progress=progress,
        )
    note(f"{fitted.method} is taken: {'; '.join(map(_said, fitted.candidates))}")
    if method is None and len(classes) > 1:
        note(f"there are {len(classes)} labels; to train a head on them: bitseek open {folder} --supervised")
    return fitted


def _said(candidate: "Candidate") -> str:
    """What was measured of a candidate, in words."""
    if candidate.reason is not None:
        return f"{candidate.method} cannot be fitted to so few images"
    if candidate.kept is None:
        return f"{candidate.method} was not measured on so few images"
    by_label = "" if candidate.mAP is None else f", mAP by labels {candidate.mAP:.3f}"
    return f"{candidate.method} keeps {100 * candidate.kept:.0f} % of the ten nearest{by_label}"


def _backbone(folder: Path, name: str, network: Network, seed: int) -> "Backbone":
    """The pretrained network.

    Raises:
        BitseekError: its weights are not here and cannot be downloaded: which file to give.
    """
    from bitseek.models import build_backbone, published_file

    auto = None if name == "small-cnn" else "pretrained"
    weights = {"auto": auto, "none": None}.get(network.weights, network.weights)
    try:
        return build_backbone(name, weights=weights, size=network.size, seed=seed, **literals(network.backbone_set))
    except RunError as error:
        if weights != "pretrained" or error.__cause__ is None:
            raise
        raise RunError(
            f"the weights of {name} are not on this machine and cannot be downloaded from here; get "
            f"{published_file(name) or 'them'} where there is a network, and give the file: bitseek open {folder} "
            "--weights FILE (or a model of your own: --model RUN or FILE.onnx)"
        ) from error
