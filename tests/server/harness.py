"""A model that needs no torch, random projections in an ONNX file; pictures to give to it; a service in a process."""

import json
import os
import signal
import subprocess
from contextlib import contextmanager

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from bitseek.images import Preprocess
from bitseek.portable import OnnxHasher
from bitseek.portable._onnx_file import Metadata, write_onnx

SIDE, BITS, TOKEN = 8, 70, "a-token-for-the-tests-0123456789"
SECRET = "the content of another file"


def projections(file, *, bits=BITS, seed=0):
    """A hasher whose features are 48 random projections of the pixels, and whose logits are projections of those."""
    rng = np.random.default_rng(seed)
    pixels = 3 * SIDE * SIDE
    constants = {
        "shape": np.array([-1, pixels]),
        "grey": np.float32(127.5),
        "inner": rng.standard_normal((pixels, 48)).astype(np.float32) / pixels,
        "outer": rng.standard_normal((48, bits)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["squares"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["real", "grey"], ["centred"]),
        helper.make_node("Reshape", ["centred", "shape"], ["rows"]),
        helper.make_node("MatMul", ["rows", "inner"], ["features"]),
        helper.make_node("MatMul", ["features", "outer"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "projections",
        [helper.make_tensor_value_info("squares", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", bits]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 48]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    preprocess = Preprocess(size=SIDE, crop=1.0)
    metadata = Metadata(bits=bits, fingerprint=f"{seed:016x}+onnx", preprocess=preprocess)
    write_onnx(file, model.SerializeToString(), metadata)
    return OnnxHasher(file, threads=1)


def draw(file, seed, size=(24, 20), **options):
    """Write a picture of a few coloured patches."""
    patches = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(patches).resize(size, Image.Resampling.NEAREST).save(file, **options)
    return file


PROGRAM = """
import json, sys
from bitseek.server import Settings, serve
if __name__ == "__main__":
    announce = lambda address: print(address, flush=True)
    serve(sys.argv[1], Settings(port=0, **json.loads(sys.argv[2])), announce=announce)
"""


@contextmanager
def served(folder, tmp_path, python=None, **settings):
    """(address, process) of a service; `python` is another one than the warm one."""
    import warm  # here, since benchmarks take pictures and models from this file

    script = tmp_path / "serve_it.py"
    script.write_text(PROGRAM)
    log = (tmp_path / "log.jsonl").open("w")
    process = subprocess.Popen(
        [python or warm.python(), str(script), str(folder), json.dumps(settings)], stdout=subprocess.PIPE, stderr=log,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), (tmp_path / "log.jsonl").read_text()
        yield address, process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.stdout.close()
            log.close()
