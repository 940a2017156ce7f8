"""Networks: from pixels to a backbone's input, from that to features, from features to logits.

This package needs torch, which comes with the extra `train`.
"""

from bitseek.models._augment import augment as augment
from bitseek.models._backbone import SMALL_CNN as SMALL_CNN
from bitseek.models._backbone import TORCHVISION as TORCHVISION
from bitseek.models._backbone import Backbone, build_backbone
from bitseek.models._backbone import BackboneConfig as BackboneConfig
from bitseek.models._backbone import architecture as architecture
from bitseek.models._backbone import rebuild_backbone as rebuild_backbone
from bitseek.models._batch_norm import estimate_batch_norm as estimate_batch_norm
from bitseek.models._device import pick_device as pick_device
from bitseek.models._head import BatchNormHead as BatchNormHead
from bitseek.models._head import LinearHead as LinearHead
from bitseek.models._loader import Loader as Loader
from bitseek.models._loader import in_batches as in_batches
from bitseek.models._preprocess import Preprocess
from bitseek.models._seeded import derived_seed as derived_seed
from bitseek.models._seeded import seeded as seeded
from bitseek.models._weights import digest_of as digest_of

__all__ = ["Backbone", "Preprocess", "build_backbone"]
