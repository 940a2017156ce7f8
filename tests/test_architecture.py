"""What docs/architecture.md promises: imports go downwards, names are told apart, files are short, torch begins late.

Layers and circles are checked by import-linter, whose contracts are in pyproject.toml.
"""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import bitseek

SOURCE = Path(bitseek.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
PACKAGES = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))


def imports(path: Path):
    """Names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: import by absolute names"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def exported(package: str) -> set[str]:
    """Names that a package's __init__ imports from its own modules for users."""
    tree = ast.parse((SOURCE / package / "__init__.py").read_text())
    return {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }


def test_the_contracts_of_import_linter_are_kept():
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-logo", "--no-cache"], cwd=SOURCE.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "4 kept, 0 broken" in done.stdout


def test_import_linter_sees_an_import_of_a_package_and_a_circle_inside_one(tmp_path):
    """The gate can fail: `from package import upper` in a lower layer, and two modules that import each other."""
    package = tmp_path / "house"
    for name, text in (
        ("__init__.py", ""), ("upper/__init__.py", ""), ("lower/__init__.py", ""),
        ("lower/a.py", "from house import upper\nfrom house.lower import b\n"),
        ("lower/b.py", "def later():\n    from house.lower.a import upper\n"),
    ):  # fmt: skip
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    (tmp_path / ".importlinter").write_text(
        "[importlinter]\nroot_package = house\n"
        "[importlinter:contract:1]\nname = layers\ntype = layers\nlayers =\n  house.upper\n  house.lower\n"
        "[importlinter:contract:2]\nname = circles\ntype = acyclic_siblings\nancestors =\n  house\n"
    )
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-logo", "--no-cache"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "layers BROKEN" in done.stdout and "circles BROKEN" in done.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_private_modules_are_imported_inside_their_package_only(path):
    own = path.relative_to(SOURCE).parts[0]
    for module in imports(path):
        parts = module.split(".")
        if parts[0] == "bitseek" and len(parts) > 2 and parts[2].startswith("_"):
            assert parts[1] == own, f"{path.relative_to(SOURCE)} imports {module}; take it from bitseek.{parts[1]}"
    assert "pickle" not in set(imports(path)) or path.name == "_plain_pickle.py"
    assert not (path.name == "utils.py" or path.name == "_utils.py")


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_module_has_the_name_of_something_of_its_package(package):
    modules = {path.stem for path in (SOURCE / package).glob("*.py") if not path.stem.startswith("_")}
    functions = {
        node.name
        for path in (SOURCE / package).glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    assert not modules & (functions | exported(package))


def test_what_users_import_is_little_and_explained():
    listed = []
    for package in sorted(set(PACKAGES) - {"kernels", "cli"}):
        module = importlib.import_module(f"bitseek.{package}")
        assert module.__all__ and set(module.__all__) <= exported(package) | set(vars(module)), package
        for name in module.__all__:
            value = getattr(module, name)
            listed.append(f"{package}.{name}")
            if inspect.isclass(value) or inspect.isfunction(value):
                assert inspect.getdoc(value), f"{package}.{name} has no docstring"
    assert 50 <= len(bitseek.__all__) + len(listed) <= 90, listed


def thresholds(path: Path):
    """Comparisons of logits with 0, by which reals would become bits beside the one rule."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare) and "logit" in ast.unparse(node.left):
            zero = isinstance(node.comparators[0], ast.Constant) and node.comparators[0].value == 0
            if zero and isinstance(node.ops[0], ast.Gt | ast.GtE | ast.Lt | ast.LtE):
                yield f"{path.name}:{node.lineno}"


def test_logits_become_bits_in_one_function(tmp_path):
    assert [found for path in FILES for found in thresholds(path)] == []
    (tmp_path / "other.py").write_text("bits = self.logits_of(squares)[:, 0] >= 0\n")
    assert list(thresholds(tmp_path / "other.py")) == ["other.py:1"], "the gate can fail"


def test_no_file_is_too_long():
    assert {path.name: n for path in FILES if (n := len(path.read_text().splitlines())) > 400} == {}


def test_tests_mirror_the_source():
    tests = Path(__file__).parent
    for package in PACKAGES:
        assert list((tests / package).glob("test_*.py")), f"there are no tests in tests/{package}"


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
