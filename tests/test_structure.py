"""The rooms of the package: what may import what, how much they hold, how docstrings begin."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.places import REPOSITORY

PACKAGE = REPOSITORY / "faceemo"
# Each folder imports only from those before it; `main`, `__main__` and `__init__` may import all.
FOLDERS = (
    *("errors", "staging", "config", "assets", "models"),
    *("data", "train", "analysis", "inference", "experiments", "commands"),
)
# The layers of faceemo/data. Its root modules `pipeline` and `augment` know none of them.
DATA = ("measure", "ledger", "source", "sample", "prepare")
MODULES = {
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imports(path):
    """Returns the modules of faceemo that a file imports, at its top and inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name in MODULES}
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            inside = {f"{node.module}.{name.name}" for name in node.names}
            found |= (inside & MODULES.keys()) or {node.module}
            found |= {node.module} if inside - MODULES.keys() else set()
    return found


IMPORTS = {name: imports(path) - {name} for name, path in MODULES.items()}


def place(name, folders, depth):
    """Returns where a module's folder stands in an order; None if it is not in it."""
    parts = name.split(".")
    return (
        folders.index(parts[depth])
        if parts[depth : depth + 1] and parts[depth] in folders
        else None
    )


def upward(folders, depth):
    """Returns the imports that lead from a folder to a later one."""
    found = []
    for name, imported in IMPORTS.items():
        own = place(name, folders, depth)
        for other in imported if own is not None else ():
            theirs = place(other, folders, depth)
            if (
                theirs is not None
                and theirs > own
                and other.split(".")[:depth] == name.split(".")[:depth]
            ):
                found.append(f"{name} imports {other}")
    return sorted(found)


def test_no_folder_imports_from_a_later_one():
    assert upward(FOLDERS, 1) == []
    assert {name.split(".")[1] for name in MODULES if "." in name} == {*FOLDERS, "main", "__main__"}


def test_no_layer_of_data_imports_from_a_later_one():
    assert upward(DATA, 2) == []


def test_modules_do_not_import_each_other_in_a_circle():
    """`faceemo` itself is left out: its `load` imports the predictor when it is called."""
    remaining = {name: imported - {"faceemo"} for name, imported in IMPORTS.items()}
    del remaining["faceemo"]
    while leaves := [name for name, imported in remaining.items() if not imported]:
        for leaf in leaves:
            del remaining[leaf]
        for imported in remaining.values():
            imported.difference_update(leaves)
    assert remaining == {}


def test_the_root_and_every_folder_hold_what_a_reader_can_survey():
    root = {"__init__", "__main__", "errors", "main", "staging"}
    assert {path.stem for path in PACKAGE.glob("*.py")} == root
    folders = [path for path in (PACKAGE, REPOSITORY / "tests") for path in path.rglob("*/")]
    sizes = {folder: len(list(folder.glob("*.py"))) for folder in folders}
    assert {folder: size for folder, size in sizes.items() if size > 22} == {}
    assert not [path for path in MODULES.values() if path.name != "__init__.py" and lines(path) < 6]


def lines(path):
    return len(path.read_text("utf-8").strip().splitlines())


def definitions():
    for folder in ("faceemo", "scripts", "configs"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_property(
                    node
                ):
                    yield path.relative_to(REPOSITORY), node


def is_property(function):
    """Returns whether a function is read like an attribute, and so is described like one."""
    return any("property" in ast.unparse(decorator) for decorator in function.decorator_list)


def test_docstrings_of_functions_begin_with_a_verb():
    """As far as that can be told by their first word."""
    nouns = (
        "Of|As|Likewise|What|Whether|Where|Who|Which|When|Whatever|How|The|A|An|All|Every|Each|If"
    )
    wrong = [
        f"{path}:{node.lineno} {node.name}: {text.splitlines()[0]}"
        for path, node in definitions()
        if (text := ast.get_docstring(node)) and re.match(rf"({nouns})\b", text)
    ]
    assert wrong == []


@pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="no checkout, so no tracked files")
def test_no_host_of_a_package_registry_is_named():
    names = "|".join(
        ("py" + "pi", "npm" + "js", "deb" + "ian", "pythonho" + "sted", "jsde" + "livr")
    )
    command = ["git", "grep", "-nIiE", rf"({names})\.(org|com|net|io)", "--", "."]
    found = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert found.stdout == ""
    assert found.returncode == 1, found.stderr


def test_a_name_of_a_file_in_a_text_is_a_file():
    """Paths in docstrings, messages and pages, such as faceemo/models/vgg16.py."""
    texts = [
        path
        for pattern in ("faceemo/**/*", "scripts/**/*", "configs/*.py", "docs/*.md", "*.md")
        for path in REPOSITORY.glob(pattern)
        if path.suffix in (".py", ".md", ".j2", ".sh")
    ]
    lost = {
        f"{path.relative_to(REPOSITORY)}: {name}"
        for path in texts
        for name in re.findall(
            r"(?<![\w/.*-])((?:faceemo|scripts|tests|configs)/[a-z0-9_/]+\.(?:py|md|sh|j2))\b",
            path.read_text("utf-8"),
        )
        if not Path(REPOSITORY, name).exists()
    }
    assert lost == set()
