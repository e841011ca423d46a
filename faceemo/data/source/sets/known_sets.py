"""The published sets that are recognised by the names of their files."""

from collections.abc import Callable

from faceemo.data.source.layout import Layout
from faceemo.data.source.sets import affectnet, ck_plus, expw, kdef, raf_db
from faceemo.data.source.sets.tree import Tree

# A reader returns None if the source is not its set. A new set is a module beside these, and a row.
READERS: tuple[Callable[[Tree], Layout | None], ...] = (
    raf_db.read_layout,
    affectnet.read_layout,
    expw.read_layout,
    ck_plus.read_layout,
    kdef.read_layout,
)


def read_layout(tree: Tree) -> Layout | None:
    """Reads the layout of a known set; returns None if the source is none.

    Raises:
        UserError: If it nearly is one: its images or its list of labels are missing, for example.
    """
    return next((layout for read in READERS if (layout := read(tree))), None)
