"""Test of the output of `scripts/benchmark.py serve`, without a server."""

import argparse
import contextlib
import types

import pytest

from tests.support.places import SCRIPTS


def test_errors_are_counted_per_number_of_clients(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from benchmarks import serve

    def send_requests(address, path, bodies, count, seconds):
        errors = ["OSError: refused"] if count == 1 and seconds != serve._WARM_UP else []
        return [types.SimpleNamespace(faces=3, seconds=[0.1], errors=errors)]

    monkeypatch.setattr(serve, "_send_requests", send_requests)
    monkeypatch.setattr(serve, "_start_server", lambda _: contextlib.nullcontext("localhost:1"))
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    options = parser.parse_args(["run", "--clients", "4", "1", "16", "--rounds", "2"])
    with pytest.raises(SystemExit):
        serve.run(options)
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.rpartition(",")[2].strip() for row in rows] == ["0 errors", "2 errors", "0 errors"]
