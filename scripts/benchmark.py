"""Compares faceemo with other libraries or with simpler ways, on this machine.

    python scripts/benchmark.py models --archs efficientnetb0 --sizes 96

`KIND --help` explains what a benchmark compares. The other libraries are installed with
pip install -e '.[bench]'.
"""

from benchmarks import data, first, infer, labels, models, scaling, serve, timing, train

from faceemo import errors
from faceemo.commands.parser import Parser

KINDS = {
    "models": models,
    "data": data,
    "scaling": scaling,
    "train": train,
    "infer": infer,
    "first": first,
    "serve": serve,
    "labels": labels,
}


def main() -> None:
    """Runs the benchmark that the command line names."""
    parser = Parser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for name, module in KINDS.items():
        own = kinds.add_parser(
            name, help=str(module.__doc__).partition("\n")[0], description=module.__doc__
        )
        module.add_arguments(own)
    options = parser.parse_args()
    print(timing.describe_machine())
    with errors.reported():
        KINDS[options.kind].run(options)


if __name__ == "__main__":
    main()
