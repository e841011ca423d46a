import pytest

from faceemo.analysis.dataset import exploration
from faceemo.data.prepare import prepare
from tests.support.analysis.exploration_page import SEED
from tests.support.data import drawn_zip


def write_sample(root):
    """Writes a small zip of drawn images into `root`."""
    drawn_zip.write(root, 5, {"train": 24, "validation": 12, "test": 8})
    return root


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    """A root that is unpacked but not screened, with the page about it. Tests only read it."""
    root = write_sample(tmp_path_factory.mktemp("unpacked"))
    prepare.prepare(root, last="unpack")
    exploration.write(root, SEED, include_test=True)
    return root


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A root that is prepared, with the page about it. Tests only read it."""
    root = write_sample(tmp_path_factory.mktemp("prepared"))
    prepare.prepare(root)
    exploration.write(root, SEED, include_test=True)
    return root
