"""A collection: a folder on disk with the items and the codes of somebody's images.

Collection    open or create one, bring it up to date, search in it
Item, Hit     an image in it; one that a search found
Update        what an update did
Progress      how far a writer is
Encoder       what a collection needs of a hasher
"""

from bitseek.collection._collection import Collection
from bitseek.collection._contents import Hit as Hit
from bitseek.collection._duplicates import Duplicates as Duplicates
from bitseek.collection._encoder import Encoder as Encoder
from bitseek.collection._group_files import write_groups as write_groups
from bitseek.collection._groups import Groups as Groups
from bitseek.collection._item import Item as Item
from bitseek.collection._labels import labels_below as labels_below
from bitseek.collection._lock import Progress as Progress
from bitseek.collection._update import Update as Update

__all__ = ["Collection"]
