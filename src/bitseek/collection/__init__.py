"""A collection: a folder on disk with the items and the codes of somebody's images.

Collection    open or create one, bring it up to date, search in it
Item, Hit     an image in it; one that a search found
Update        what an update did
Progress      how far a writer is
Encoder       what a collection needs of a hasher
"""

from bitseek.collection._collection import REMOVED as REMOVED
from bitseek.collection._collection import Collection
from bitseek.collection._duplicates import Duplicates as Duplicates
from bitseek.collection._encoder import AnyEncoder as AnyEncoder
from bitseek.collection._encoder import Encoder as Encoder
from bitseek.collection._encoder import Model as Model
from bitseek.collection._encoder import at_length as at_length
from bitseek.collection._group_files import write_groups as write_groups
from bitseek.collection._groups import Groups as Groups
from bitseek.collection._item import Item as Item
from bitseek.collection._labels import FolderLabels as FolderLabels
from bitseek.collection._labels import as_label as as_label
from bitseek.collection._labels import no_such_label as no_such_label
from bitseek.collection._lock import Progress as Progress
from bitseek.collection._map import discs as discs
from bitseek.collection._mirror import IgnoredRow as IgnoredRow
from bitseek.collection._mirror import Mirror as Mirror
from bitseek.collection._mirror import RootRow as RootRow
from bitseek.collection._mirror import StoredItem as StoredItem
from bitseek.collection._published import codes_file as codes_file
from bitseek.collection._roots import Root as Root
from bitseek.collection._roots import meant as meant
from bitseek.collection._search import Hit as Hit
from bitseek.collection._search import Limits as Limits
from bitseek.collection._search import Queries as Queries
from bitseek.collection._search import candidates as candidates
from bitseek.collection._thumbnails import SIDE as SIDE
from bitseek.collection._thumbnails import thumbnail_of as thumbnail_of
from bitseek.collection._update import Update as Update

__all__ = ["Collection"]
