"""Images from files, from memory, or as features: found, decoded in one way, and brought to what a backbone takes."""

from bitseek.images._decode import decode, decode_many
from bitseek.images._decode import upright as upright
from bitseek.images._encoded import encoded as encoded
from bitseek.images._encoded import in_pieces as in_pieces
from bitseek.images._encoder import ImageEncoder as ImageEncoder
from bitseek.images._encoder import tell_unreadable as tell_unreadable
from bitseek.images._find import IMAGE_EXTENSIONS as IMAGE_EXTENSIONS
from bitseek.images._find import find_images
from bitseek.images._find import printable as printable
from bitseek.images._find import stamp as stamp
from bitseek.images._find import walk as walk
from bitseek.images._in_order import in_order as in_order
from bitseek.images._picture import Tile as Tile
from bitseek.images._picture import hits_picture as hits_picture
from bitseek.images._preprocess import Preprocess
from bitseek.images._sources import Features as Features
from bitseek.images._sources import Images as Images
from bitseek.images._sources import Loose as Loose
from bitseek.images._sources import Paths as Paths
from bitseek.images._sources import Pixels as Pixels
from bitseek.images._sources import as_features as as_features
from bitseek.images._sources import as_images as as_images
from bitseek.images._squares import BATCH as BATCH
from bitseek.images._squares import Progress as Progress
from bitseek.images._squares import batches as batches
from bitseek.images._squares import squares as squares

__all__ = ["Preprocess", "decode", "decode_many", "find_images"]
