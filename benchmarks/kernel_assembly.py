"""Which instructions do the inner loops of the search consist of?

    python benchmarks/kernel_assembly.py [--target haswell|skylake-avx512|neoverse-n1|...] [--asm _skip_1] [--no-record]

Compiles the functions of `bitseek.kernels.distance` and counts, in the code of each, the instructions that matter: a
population count on vectors (AVX-512: vpopcntq; AVX2: look-ups by vpshufb; NEON and SVE: cnt), scalar population counts
and gathers, of which there should be none. With `--target` for another processor than this one. For one of another
family (neoverse-n1, apple-m1), whose code cannot be run here, LLVM compiles the intermediate code of this machine.
"""

import argparse
import os
import re
import tempfile

# Code from the cache cannot be inspected, so there must be none.
os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="bitseek-assembly-")

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--target", help="another processor, as LLVM calls it")
parser.add_argument("--asm", help="print the code of this function")
parser.add_argument("--no-record", action="store_true", help="do not write benchmarks/results")
options = parser.parse_args()

ARM = ("neoverse", "apple", "cortex")
other = options.target is not None and options.target.startswith(ARM)
if options.target and not other:
    os.environ["NUMBA_CPU_NAME"] = options.target
    os.environ["NUMBA_CPU_FEATURES"] = ""

import numpy as np  # noqa: E402

from bitseek.kernels import distance  # noqa: E402
from record import record  # noqa: E402

COUNTED = {
    "vpopcntq": r"\bvpopcntq\b",
    "vpshufb": r"\bvpshufb\b",
    "cnt": r"\bcnt\s+[vz]\d",
    "popcnt": r"\bpopcnt[ql]?\b",
    "gather": r"\bv?p?gather\w*|\bld1d\s+{[^}]*},\s*p\d+/z,\s*\[x\d+,\s*z",
    "zmm": r"%zmm\d+",
    "ymm": r"%ymm\d+",
}


def code_of(function) -> str:
    """Assembly of a kernel, for this processor or for the one that is asked for."""
    (signature,) = function.signatures
    if not other:
        return function.inspect_asm(signature)
    from llvmlite import binding

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    triple = "aarch64-unknown-linux-gnu"
    intermediate = function.inspect_llvm(signature).replace(binding.get_process_triple(), triple)
    module = binding.parse_assembly(re.sub(r'target datalayout = ".*"', "", intermediate))
    machine = binding.Target.from_triple(triple).create_target_machine(cpu=options.target, opt=3)
    passes = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    return machine.emit_assembly(module)


words = np.arange(4096, dtype=np.uint64)
words.flags.writeable = False
sums = np.zeros(distance.BLOCK, np.int64)
for width in (1, 2, 4, 8):
    queries = np.zeros((1, width), np.uint64)
    queries.flags.writeable = False
    for steps in ((1, 512), (width, 1)):
        distance.next_block(words, 0, *steps, 0, 256, queries, 0, 5, sums)

found = {}
for name in ("_skip_1", "_skip_2", "_skip_4", "_skip_planes", "_skip_rows", "measure"):
    code = code_of(getattr(distance, name))
    found[name] = {what: len(re.findall(pattern, code)) for what, pattern in COUNTED.items()}
    print(name, *(f"{what}={count}" for what, count in found[name].items()))
    if options.asm == name:
        print(code)
if not options.no_record:
    record(f"kernel_assembly_{options.target or 'here'}", found)
