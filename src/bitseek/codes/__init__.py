"""Binary codes: the value that every stage of bitseek gives to the next.

Codes              n codes of K bits, immutable; from and to logits, bits, signs, bytes, hexadecimal digits and files
signs              the rule by which a real number becomes a bit, as −1 and +1
hamming_distances  all distances between two sets of codes
FORMS              file formats of `Codes.save` and `Codes.load`, by name
"""

from bitseek.codes._bits import signs
from bitseek.codes._bits import words_per_code as words_per_code
from bitseek.codes._codes import Codes, hamming_distances
from bitseek.codes._codes import check_codes as check_codes
from bitseek.codes._faiss import find_codes as find_codes
from bitseek.codes._faiss import write_codes as write_codes
from bitseek.codes._forms import FORMS
from bitseek.codes._nested import prefix_fingerprint as prefix_fingerprint
from bitseek.codes._nested import trained_length as trained_length

__all__ = ["FORMS", "Codes", "hamming_distances", "signs"]
