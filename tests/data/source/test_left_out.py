"""The list of images of the source that are no originals."""

from faceemo.data.source import left_out
from faceemo.data.source.layout import LeftOut


def test_the_list_is_written_read_formatted_and_removed(tmp_path):
    images = {
        "b/caf\udce9.jpg": LeftOut("none", "the set labels it 'none'"),
        "a/1.jpg": LeftOut("", "no label in its row"),
        "a/2.jpg": LeftOut("", "no label in its row"),
    }
    left_out.write(tmp_path, images)
    found = left_out.read(tmp_path)
    assert list(found) == ["a/1.jpg", "a/2.jpg", "b/caf\\xe9.jpg"]
    assert found["b/caf\\xe9.jpg"] == images["b/caf\udce9.jpg"]
    assert left_out.format_images(found, limit=1).splitlines() == [
        "a/1.jpg  -  no label in its row",
        "3 images: 2 no label in its row; 1 the set labels it 'none'",
    ]
    assert left_out.format_images(found, label="none").splitlines()[1].startswith("1 image:")
    assert left_out.format_images(found, path="z") == "0 images: none left out"
    left_out.write(tmp_path, {})
    assert left_out.read(tmp_path) == {}
    assert not list(tmp_path.iterdir())
