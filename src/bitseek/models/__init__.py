"""Networks: backbone (image → features), head (features → logits), hasher (both with the transform: images → codes).

This package needs torch, which comes with the extra `train`.
"""

from bitseek.models.backbone import Backbone as Backbone
from bitseek.models.backbone import build_backbone as build_backbone
from bitseek.models.hasher import Hasher as Hasher
from bitseek.models.transform import Transform as Transform
