"""Runs: what a training leaves behind, and the hasher that comes out of it.

A run knows itself: `RunConfig` says all that is needed to repeat it and to measure it, and the `Hasher` carries it.
"""

from bitseek.images import Progress as Progress
from bitseek.runs._config import RunConfig
from bitseek.runs._encoding import Encoded as Encoded
from bitseek.runs._encoding import EncodedFeatures as EncodedFeatures
from bitseek.runs._encoding import encode as encode
from bitseek.runs._encoding import encode_features as encode_features
from bitseek.runs._folder import CHECKPOINT as CHECKPOINT
from bitseek.runs._folder import METRICS as METRICS
from bitseek.runs._folder import SEARCH as SEARCH
from bitseek.runs._folder import keep_report as keep_report
from bitseek.runs._folder import make_run_folder as make_run_folder
from bitseek.runs._folder import read_history as read_history
from bitseek.runs._folder import read_report as read_report
from bitseek.runs._hasher import Hasher
from bitseek.runs._hasher import load as load

__all__ = ["Hasher", "RunConfig"]
