"""What `scripts/benchmark.py serve` prints, of a server that is not asked."""

import argparse
import contextlib
import types

import pytest

from tests.support.places import SCRIPTS


def test_errors_are_counted_where_they_occur(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from benchmarks import serve

    def load(address, path, bodies, count, seconds):
        errors = ["OSError: refused"] if count == 1 and seconds != serve._WARM else []
        return [types.SimpleNamespace(faces=3, seconds=[0.1], errors=errors)]

    monkeypatch.setattr(serve, "_load", load)
    monkeypatch.setattr(serve, "_serving", lambda _: contextlib.nullcontext("localhost:1"))
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    options = parser.parse_args(["run", "--clients", "4", "1", "16", "--rounds", "2"])
    with pytest.raises(SystemExit):
        serve.run(options)
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.rpartition(",")[2].strip() for row in rows] == ["0 errors", "2 errors", "0 errors"]
