"""The house: what is packaged, and which way imports point."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from configparser import ConfigParser
from importlib.util import find_spec
from pathlib import Path

import pytest

import ganchain

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(ganchain.__file__).parent

# imports point upwards only; rooms of one line do not import each other
ORDER = [
    {"_version", "errors"},
    {"files", "tensors", "framing"},
    {"colour", "faces", "photos"},
    {"stage", "nets"},
    {"checkpoints", "drawing"},
    {"chains", "engines"},
    {"published", "looks"},
    {"stages"},
    {"pipeline"},
    {"sheets", "video", "train", "testing"},
    {"batch"},
    {"evaluate", "bench", "web"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}


def modules() -> list[tuple[str, Path]]:
    own = [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in sorted(PACKAGE.rglob("*.py"))]
    stages = find_spec("ganchain.stages")
    assert stages is not None and stages.submodule_search_locations
    folder = Path(next(iter(stages.submodule_search_locations)))
    others = {"__init__", "configs", "weights"}  # the last two lie here in a wheel, and hold no code
    return [*((room, path) for room, path in own if room not in others), *(("stages", p) for p in folder.glob("*.py"))]


def run_time_imports(path: Path) -> list[str]:
    """The ganchain modules a file imports when it runs (not those for type checkers only)."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "ganchain":
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ganchain."):
            found.append((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            found += [alias.name.split(".")[1] for alias in node.names if alias.name.startswith("ganchain.")]
    return found


def test_imports_point_one_way() -> None:
    for room, path in modules():
        for imported in run_time_imports(path):
            if imported in ("__version__",):
                continue
            assert imported == room or LEVEL[imported] < LEVEL[room], f"{room}/{path.name} imports {imported}"


def test_only_one_file_knows_dlib_and_one_the_range() -> None:
    for room, path in modules():
        text = path.read_text()
        assert ("import dlib" in text) == (path.name == "dlib_models.py"), path
        assert ("127.5" in text) == (path.name == "tensors.py"), path
        assert room in LEVEL, f"{room} has no place in the order of imports"


def test_setup_lists_every_package() -> None:
    if not (ROOT / "setup.cfg").exists():
        pytest.skip("runs only in a checkout")
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    found = {
        ".".join(("ganchain", *path.parent.relative_to(ROOT / "ganchain").parts))
        for path in (ROOT / "ganchain").rglob("__init__.py")
    }
    assert listed == found | {"ganchain.configs", "ganchain.stages", "ganchain.weights"}
    assert (ROOT / "ganchain" / "stages").resolve() == ROOT / "stages"


@pytest.mark.slow
def test_no_stray_top_level_package() -> None:
    code = "import importlib.util as u; print([n for n in ('stages', 'weights', 'configs') if u.find_spec(n)])"
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_help_does_not_import_torch() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from ganchain.cli.main import main;"
        "code = CliRunner().invoke(main, ['--help']).exit_code;"
        "print(code, {'torch', 'cv2', 'numpy', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0 set()"


def test_files_and_functions_stay_readable() -> None:
    for _, path in modules():
        lines = path.read_text().splitlines()
        assert len(lines) <= 260, f"{path.name}: {len(lines)} lines"
        for node in ast.walk(ast.parse("\n".join(lines))):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= 60, f"{path.name}:{node.name}: {length} lines"


CUTS = {"partition", "rpartition", "split", "rsplit", "splitlines", "removeprefix", "removesuffix", "replace"}
# torch names only in its message what a pickle asked for, libjpeg what is wrong with the data
OF_OTHERS = {"foreign.py", "damage.py"}


def cut_messages(tree: ast.AST) -> list[int]:
    """Find the lines where the text of a caught exception is taken apart.

    That is a method of ``CUTS`` (but ``split()``, which only tidies white space) or a function of ``re`` on
    ``str(error)``, an f-string of ``error``, ``error.args``, pydantic's ``["msg"]``, or a name for one of these.
    """
    caught = {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation and re.search("Error|Exception", ast.unparse(node.annotation)):
            caught.add(node.arg)

    def is_text(node: ast.AST, names: set[str]) -> bool:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id in names:
                return True
            if isinstance(part, ast.Call) and ast.unparse(part.func) == "str" and ast.unparse(part.args[0]) in caught:
                return True
            if isinstance(part, ast.FormattedValue) and ast.unparse(part.value) in caught:
                return True
            if isinstance(part, ast.Attribute) and part.attr == "args" and ast.unparse(part.value) in caught:
                return True
            if isinstance(part, ast.Subscript) and ast.unparse(part.slice) == "'msg'":
                return True
        return False

    lines = []
    for scope in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        named = [node for node in ast.walk(scope) if isinstance(node, ast.Assign) and is_text(node.value, set())]
        names = {ast.unparse(target) for node in named for target in node.targets}
        for node in ast.walk(scope):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                cuts = node.func.attr in CUTS and (node.func.attr != "split" or bool(node.args))
                if cuts and is_text(node.func.value, names):
                    lines.append(node.lineno)
                if ast.unparse(node.func.value) == "re" and any(is_text(given, names) for given in node.args):
                    lines.append(node.lineno)
    return sorted(set(lines))


def test_nobody_takes_messages_apart() -> None:
    for _, path in modules():
        if path.name not in OF_OTHERS:
            assert cut_messages(ast.parse(path.read_text())) == [], path


@pytest.mark.parametrize(
    ("cut", "found"),
    [
        ("str(error).partition(': ')", True),
        ("str(error).removeprefix(f'{path}: ')", True),
        ("f'{error}'.replace(path, '')", True),
        ("re.sub('a', 'b', str(error))", True),
        ("error.errors()[0]['msg'].removeprefix('x')", True),
        ("error.args[0].split(':')", True),
        ("text = str(error)\n        text.splitlines()", True),
        ("' '.join(str(error).split())", False),
        ("error.reason, path.replace('a', 'b')", False),
    ],
)
def test_how_messages_are_taken_apart_is_known(cut: str, found: bool) -> None:
    code = f"def f(path):\n    try:\n        pass\n    except Exception as error:\n        {cut}\n"
    assert bool(cut_messages(ast.parse(code))) is found


def test_dataclasses_with_arrays_can_be_compared() -> None:
    """The ``==`` that ``dataclass`` makes asks an array for its truth value."""
    arrays = re.compile("Tensor|NDArray|Pixels|Points|Floats|Matrix")
    for _, path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(by) for by in node.decorator_list):
                types = [ast.unparse(line) for line in node.body if isinstance(line, ast.AnnAssign)]
                held = [line for line in types if arrays.search(line) and "compare=False" not in line]
                assert not held or any("eq=False" in ast.unparse(by) for by in node.decorator_list), (path, node.name)
