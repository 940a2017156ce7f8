"""Networks: from squares of pixels to features, and from features to logits; and what training does to pixels.

This package needs torch, which comes with the extra `train`.
"""

from bitseek.models._among_threads import alone_in_torch as alone_in_torch
from bitseek.models._among_threads import among_threads as among_threads
from bitseek.models._among_threads import features_of as features_of
from bitseek.models._among_threads import threads_on as threads_on
from bitseek.models._augment import Draws as Draws
from bitseek.models._augment import augment as augment
from bitseek.models._backbone import SMALL_CNN as SMALL_CNN
from bitseek.models._backbone import TORCHVISION as TORCHVISION
from bitseek.models._backbone import Backbone, build_backbone
from bitseek.models._backbone import BackboneConfig as BackboneConfig
from bitseek.models._backbone import architecture as architecture
from bitseek.models._backbone import published_file as published_file
from bitseek.models._backbone import rebuild_backbone as rebuild_backbone
from bitseek.models._batch_norm import estimate_batch_norm as estimate_batch_norm
from bitseek.models._device import pick_device as pick_device
from bitseek.models._head import BatchNormHead as BatchNormHead
from bitseek.models._head import LinearHead as LinearHead
from bitseek.models._loader import Loader as Loader
from bitseek.models._pixels import as_tensor as as_tensor
from bitseek.models._pixels import colours as colours
from bitseek.models._pixels import normalise as normalise
from bitseek.models._ranks import any_rank as any_rank
from bitseek.models._ranks import gathered as gathered
from bitseek.models._ranks import gathered_array as gathered_array
from bitseek.models._ranks import gathered_objects as gathered_objects
from bitseek.models._ranks import join_ranks as join_ranks
from bitseek.models._ranks import mean_gradients as mean_gradients
from bitseek.models._ranks import on_first_rank as on_first_rank
from bitseek.models._ranks import place_in_whole as place_in_whole
from bitseek.models._ranks import rank as rank
from bitseek.models._ranks import ranks as ranks
from bitseek.models._ranks import rows_of_rank as rows_of_rank
from bitseek.models._ranks import sum_gradients as sum_gradients
from bitseek.models._ranks import synchronise_batch_norm as synchronise_batch_norm
from bitseek.models._seeded import derived_seed as derived_seed
from bitseek.models._seeded import seeded as seeded
from bitseek.models._weights import digest_of as digest_of

__all__ = ["Backbone", "build_backbone"]
