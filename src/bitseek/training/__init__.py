"""Training: `train` makes a hasher from a method and a protocol, and a run folder from which it can be resumed.

This package needs torch, which comes with the extra `train`.
"""

from bitseek.training._fit_folder import Candidate as Candidate
from bitseek.training._fit_folder import FittedFolder as FittedFolder
from bitseek.training._fit_folder import fit_folder
from bitseek.training._loop import Progress as Progress
from bitseek.training._train import pick_backbone as pick_backbone
from bitseek.training._train import train

__all__ = ["fit_folder", "train"]
