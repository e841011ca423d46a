"""Compares faceemo with other libraries or with simpler ways, on this machine.

    python scripts/benchmark.py models --archs efficientnetb0 --sizes 96

`KIND --help` explains what a benchmark compares. The other libraries are installed with
pip install -e '.[bench]'.
"""

import ast
import importlib
import sys
from pathlib import Path
from typing import Any

from benchmarks import timing

from faceemo import errors
from faceemo.commands.parser import Parser

KINDS = (
    *("models", "data", "scaling", "train", "infer", "files", "first", "serve", "labels"),
    *("device", "exports"),
)


def main() -> None:
    """Runs the benchmark that the command line names."""
    parser = Parser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for name in KINDS:
        text = _read_docstring(name)
        own = kinds.add_parser(name, help=text.partition("\n")[0], description=text)
        if name in sys.argv[1:2]:
            _load(name).add_arguments(own)
    options = parser.parse_args()
    print(timing.describe_machine())
    with errors.reported():
        _load(options.kind).run(options)


def _load(name: str) -> Any:
    """Imports one kind alone, because the others need packages that this one may do without."""
    return importlib.import_module(f"benchmarks.{name}")


def _read_docstring(name: str) -> str:
    path = Path(__file__).with_name("benchmarks") / f"{name}.py"
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""


if __name__ == "__main__":
    main()
