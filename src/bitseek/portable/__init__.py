"""A hasher that leaves its machine: as one ONNX file, which needs no torch, in 8-bit integers, or through the hub.

```
Hasher ── export_onnx ──> model.onnx ── quantise ──> small.onnx
              load("model.onnx") -> OnnxHasher      as good as the hasher wherever something encodes
```
What a file gives is `BASE+onnx` or `BASE+int8-XXXXXXXX` where the hasher's fingerprint is BASE; that of the first bits
of nested codes is `BASE:BITS`. `same_codes` says which of them may be mixed. Torch is imported to export, and to load a
run; by nothing else here.
"""

from bitseek.portable._export import export_onnx
from bitseek.portable._fingerprint import same_codes as same_codes
from bitseek.portable._load import fingerprint_of as fingerprint_of
from bitseek.portable._load import load
from bitseek.portable._onnx_hasher import LOGIT_BOUND as LOGIT_BOUND
from bitseek.portable._onnx_hasher import MODEL as MODEL
from bitseek.portable._onnx_hasher import OnnxHasher
from bitseek.portable._quantise import quantise

__all__ = ["OnnxHasher", "export_onnx", "load", "quantise"]
