"""A collection: a folder on disk with the items and the codes of somebody's images. Needs no torch.

Collection  open or create one, bring it up to date, search in it
Update      what an update did
Hit         one item that a search found
Encoder     what a collection needs of a hasher
"""

from bitseek.collection._collection import Collection
from bitseek.collection._collection import Encoder as Encoder
from bitseek.collection._collection import Hit as Hit
from bitseek.collection._collection import Update as Update

__all__ = ["Collection"]
