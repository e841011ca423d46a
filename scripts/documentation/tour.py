"""The outputs of examples/tour.ipynb, made by running the notebook.

The notebook is run from top to bottom in an empty folder. Its pictures are kept as PNG files of few
colours, and nothing is kept that tells when or where it was run.
"""

import base64
import io
import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

from faceemo.errors import UserError

_REPOSITORY = Path(__file__).parents[2]
_COLOURS = 128  # of a picture; fewer make smaller files
_MAX_WIDTH = 900  # of a picture, pixels


def render(notebook: str) -> str:
    """Runs a notebook; returns it with the outputs of its cells.

    Args:
        notebook: Text of the notebook so far.

    Raises:
        UserError: If a cell fails.
    """
    node = nbformat.reads(notebook, as_version=4)
    with tempfile.TemporaryDirectory(prefix="faceemo-tour-") as name:
        # The notebook reads a photograph in the folder of the documentation.
        Path(name, "docs").symlink_to(_REPOSITORY / "docs")
        folder = Path(name, "examples")
        folder.mkdir()
        try:
            NotebookClient(
                node,
                timeout=None,
                record_timing=False,
                coalesce_streams=True,
                resources={"metadata": {"path": str(folder)}},
            ).execute(env=os.environ | {"PYTHONPATH": str(_REPOSITORY)})
        except CellExecutionError as error:
            raise UserError(
                expected="a notebook whose cells run",
                found=f"{error.ename} in a cell: {error.evalue[-500:]}",
                fix="correct examples/tour.ipynb",
            ) from error
    for cell in node.cells:
        for output in cell.get("outputs", []):
            _tidy(output)
    node.metadata.language_info = {"name": "python"}  # without the version
    return nbformat.writes(node) + "\n"


def _tidy(output: nbformat.NotebookNode) -> None:
    """Removes blanks at the ends of lines, and makes pictures smaller."""
    if output.output_type == "stream":
        lines = output.text.rstrip().splitlines()
        output.text = "".join(f"{line.rstrip()}\n" for line in lines)
    data = output.get("data", {})
    if png := data.get("image/png"):
        picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
        picture.thumbnail((_MAX_WIDTH, 10 * _MAX_WIDTH))
        small = io.BytesIO()
        picture.quantize(_COLOURS).save(small, "PNG", optimize=True)
        data["image/png"] = base64.b64encode(small.getvalue()).decode()
        data.pop("image/jpeg", None)
