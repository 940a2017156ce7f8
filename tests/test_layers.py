"""Imports go downwards through the layers of docs/architecture.md, and torch begins where it may."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bitseek

SOURCE = Path(bitseek.__file__).parent
LAYERS = [
    {"errors", "atomic", "npz", "codes"},
    {"kernels", "metrics", "index", "interchange", "images", "picture", "pruned"},
    {"collection", "data", "codebooks", "models", "methods"},
    {"feed", "encode", "evaluation", "instances", "run", "card", "trainer", "training"},
    {"report", "reproduce", "server", "cli"},
]
WITHIN = {("methods", "models"), ("methods", "codebooks")}
"""Pairs of one layer of which the first may import the second: a method has a head, and codewords."""

ORDER = ["feed", "encode", "card", "run", "evaluation", "instances", "trainer", "training"]
"""In layer 3, whoever stands further right may import what stands further left."""


def unit(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(path: Path, top_only: bool = False):
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: import by absolute names"
            yield node.module


FILES = sorted(SOURCE.rglob("*.py"))


def own_unit(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def level(name: str) -> int:
    found = [i for i, names in enumerate(LAYERS) if name in names]
    assert found, f"{name} has no layer; give it one here and in docs/architecture.md"
    return found[0]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_downwards(path):
    own = own_unit(path)
    if own == "__init__":
        return
    for module in imports(path):
        if not module.startswith("bitseek."):
            continue
        other = unit(module)
        if other == own or (own, other) in WITHIN:
            continue
        if own in ORDER and other in ORDER:
            assert ORDER.index(other) < ORDER.index(own), f"{own} imports {other}"
        elif level(own) in (0, 1):
            assert level(other) <= level(own), f"{own} imports {other}"
        else:
            assert level(other) < level(own) or level(own) == 4, f"{own} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_who_may_import_what(path):
    own = own_unit(path)
    everywhere = {module.split(".")[0] for module in imports(path)}
    at_top = {module.split(".")[0] for module in imports(path, top_only=True)}
    assert "numba" not in everywhere or own == "kernels"
    assert "pickle" not in at_top or path.name == "plain_pickle.py"
    if own not in {"models", "methods"} | LAYERS[3] - {"card"}:
        assert not at_top & {"torch", "torchvision", "timm"}, f"{own} imports torch"


def test_no_file_is_too_long():
    assert {path.name: n for path in FILES if (n := len(path.read_text().splitlines())) > 400} == {}


BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
"""


def run_without(blocked: set[str], code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCK.format(blocked=blocked) + code], capture_output=True, text=True, timeout=120
    )


def test_works_without_torch(tmp_path):
    code = f"""
import bitseek, numpy as np
from bitseek.metrics import retrieval
codes = bitseek.Codes.from_bits([[0, 0, 1], [0, 1, 1], [1, 1, 1]])
hits = bitseek.HammingIndex(codes).nearest(codes, k=2)
assert hits.ids[:, 0].tolist() == [0, 1, 2]
labels = np.array([0, 0, 1])
np.savez({str(tmp_path / "c.npz")!r}, query_codes=codes.to_bits(), database_codes=codes.to_bits(),
         query_labels=labels, database_labels=labels)
from bitseek.cli import main
main(["score", {str(tmp_path / "c.npz")!r}])
main(["codebooks", "--classes", "5", "--bits", "16"])
main(["protocols"])
"""
    done = run_without({"torch", "torchvision", "timm", "safetensors", "sklearn"}, code)
    assert done.returncode == 0, done.stderr
    assert "mAP" in done.stdout and "spread" in done.stdout and "cifar10-1" in done.stdout


def test_a_missing_extra_says_what_to_install():
    done = run_without(
        {"torch", "torchvision", "timm", "safetensors"}, "from bitseek.cli import main\nmain(['methods'])"
    )
    assert done.returncode == 1
    assert done.stderr == (
        "bitseek: this needs torch, which is not installed; install it with: pip install 'bitseek[train]'\n"
    )


def test_help_imports_nothing_heavy():
    code = """
import sys
from bitseek.cli import main
try:
    main(["--help"])
except SystemExit as stop:
    assert not stop.code
print(sorted({"numpy", "torch", "numba", "PIL", "jaxtyping", "sqlite3"} & set(sys.modules)), file=sys.stderr)
"""
    done = run_without(set(), code)
    assert done.returncode == 0 and done.stderr.strip() == "[]", done.stderr
