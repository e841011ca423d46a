"""The notebook examples/tour.ipynb runs, and shows what it showed when its outputs were kept."""

import re
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from faceemo import errors
from faceemo.data.measure import face_detector
from tests.support.places import REPOSITORY, SCRIPTS

sys.path.append(str(SCRIPTS))

from documentation import tour

NOTEBOOK = REPOSITORY / "examples" / "tour.ipynb"
MAX_BYTES = 1_000_000  # of the notebook, which every clone holds


def list_outputs(node):
    """Returns the kinds of the outputs of each cell."""
    return [
        [(one.output_type, one.get("name"), sorted(one.get("data", {}))) for one in cell.outputs]
        for cell in node.cells
        if cell.cell_type == "code"
    ]


def read_text(node):
    """Returns all the text that the cells have printed."""
    cells = [cell for cell in node.cells if cell.cell_type == "code"]
    return "".join(one.text for cell in cells for one in cell.outputs if one.get("name"))


@pytest.mark.slow(seconds=75)
@pytest.mark.timeout(1800)
def test_the_notebook_runs_and_shows_what_is_kept_in_it(monkeypatch):
    # It trains long enough for programs that XLA optimises to cost less than quickly compiled ones.
    monkeypatch.setenv("XLA_FLAGS", "")
    face_detector.load_network_files()  # the first time says where it fetches them from
    kept = nbformat.read(NOTEBOOK, as_version=4)
    shown = nbformat.reads(tour.render(NOTEBOOK.read_text("utf-8")), as_version=4)
    assert [cell.source for cell in shown.cells] == [cell.source for cell in kept.cells]
    assert list_outputs(shown) == list_outputs(kept)
    for node in (kept, shown):
        text = read_text(node)
        assert "ok happy" in text
        assert "turned   unsure" in text
        assert "600 kept, 9 no face, 0 unreadable, 15 duplicate" in text
        assert "B minus A" in text
        pictures = [one for cell in list_outputs(node) for one in cell if "image/png" in one[2]]
        assert len(pictures) == 6
        # nothing on stderr, such as a warning
        assert {one[1] for cell in list_outputs(node) for one in cell} == {None, "stdout"}
    assert NOTEBOOK.stat().st_size < MAX_BYTES


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)", NOTEBOOK.read_text("utf-8"))
    assert len(links) >= 5
    assert [link for link in links if not (NOTEBOOK.parent / link).exists()] == []


def test_a_cell_that_fails_is_named():
    node = new_notebook(cells=[new_code_cell("%%bash\nfaceemo-is-missing 3")])
    with pytest.raises(errors.UserError, match="faceemo-is-missing 3"):
        tour.render(nbformat.writes(node))
