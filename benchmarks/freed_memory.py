"""What `keep_freed_memory` gives: MobileNetV2 on the CPU with the freed memory kept, against glibc as it comes.

    python benchmarks/freed_memory.py [--sizes 96 224] [--rounds 5]

Forward passes as a hasher makes them and steps of training, batches of 64, in processes of their own that take turns;
images a second by the wall clock, minor page faults of a batch, and memory at its greatest and at the end.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

from record import record

CHILD = """
import json, resource, sys, time
import numpy as np, torch
from bitseek.models import build_backbone
from bitseek.models._freed_memory import keep_freed_memory

size, training = int(sys.argv[1]), sys.argv[2] == "training"
backbone = build_backbone("mobilenetv2_100", size=size).train(training)
kept = keep_freed_memory()
images = torch.from_numpy(np.random.default_rng(0).random((64, 3, size, size), np.float32))
optimiser = torch.optim.SGD(backbone.parameters(), 1e-4)

def batch():
    with torch.inference_mode(not training):
        features = backbone(images)
    if training:
        features.square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()

batch()
batches = max(2, 8 * 96 * 96 // size**2 // (3 if training else 1))
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
began = time.perf_counter()
for _ in range(batches):
    batch()
took = time.perf_counter() - began
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
resident = int(open("/proc/self/statm").read().split()[1]) * 4096
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"kept": kept, "rate": 64 * batches / took, "faults": faults / batches,
                  "most": most, "resident": resident}))
"""
AS_IT_COMES = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=7"}  # glibc's own default: enough not to be touched

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--sizes", type=int, nargs="+", default=[96, 224])
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--no-record", action="store_true")
options = parser.parse_args()


def child(size: int, what: str, *, kept: bool) -> dict[str, float]:
    command = [sys.executable, "-c", CHILD, str(size), what]
    run = subprocess.run(command, env=os.environ | ({} if kept else AS_IT_COMES), capture_output=True, check=True)
    found: dict[str, float] = json.loads(run.stdout)
    assert found["kept"] is kept, "glibc did not take the settings, or they were not left out"
    return found


rows = []
for size in options.sizes:
    for what in ("forward", "training"):
        rounds = [{kept: child(size, what, kept=kept) for kept in (False, True)} for _ in range(options.rounds)]
        row: dict[str, object] = {"what": what, "size": size}
        for kept, name in ((False, "as_it_comes"), (True, "kept")):
            of = {key: statistics.median(each[kept][key] for each in rounds) for key in rounds[0][kept]}
            row[name] = {
                "images_per_second": round(of["rate"], 1),
                "page_faults_a_batch": round(of["faults"]),
                "memory_at_most_mib": round(of["most"] / 2**20),
                "memory_at_the_end_mib": round(of["resident"] / 2**20),
            }
        row["ratio"] = round(statistics.median(each[True]["rate"] / each[False]["rate"] for each in rounds), 2)
        rows.append(row)
        print(json.dumps(row), flush=True)
if not options.no_record:
    record("freed_memory", {"rows": rows})
