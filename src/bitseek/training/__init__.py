"""Training: `train` makes a hasher from a method and a protocol, and a run folder from which it can be resumed.

`auto` chooses the method and its recipe first.

This package needs torch, which comes with the extra `train`.
"""

from bitseek.training._auto import AUTO as AUTO
from bitseek.training._auto import Chosen as Chosen
from bitseek.training._auto import auto
from bitseek.training._fit_folder import Candidate as Candidate
from bitseek.training._fit_folder import FittedFolder as FittedFolder
from bitseek.training._fit_folder import fit_folder
from bitseek.training._journal import Trial as Trial
from bitseek.training._journal import read_search as read_search
from bitseek.training._loop import Progress as Progress
from bitseek.training._train import pick_backbone as pick_backbone
from bitseek.training._train import train

__all__ = ["auto", "fit_folder", "train"]
