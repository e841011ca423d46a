"""What the API answers is what the predictor answers; and it is described."""

import asyncio
import base64
import io

import numpy as np
import pytest
from PIL import Image

from faceemo.analysis import card
from faceemo.inference.serve import examples
from faceemo.inference.serve.heatmaps import png_of
from faceemo.inference.serve.model_info import read_source
from tests.support.data.faces import face, odd_files
from tests.support.inference.asking import asking, crop, form, photo, read, wall


@pytest.fixture(scope="module")
def server(predictor):
    with asking(predictor) as asker:
        yield asker


def same(told, wanted):
    """Whether a face of the API is a `Prediction`."""
    assert (told["status"], told["label"]) == (wanted.status, wanted.label)
    assert told["leaning"] == wanted.leaning
    assert told["probability"] == max(told["probabilities"].values())
    assert told["probabilities"] == pytest.approx(wanted.probabilities, abs=1e-6)
    assert told["box"] == (list(wanted.box) if wanted.box else None)
    assert told["face_confidence"] == wanted.face_confidence


@pytest.mark.parametrize("name", ["photo", "crop", *odd_files()])
def test_a_file_is_answered_as_by_the_predictor(server, predictor, tmp_path, name):
    content = {"photo": photo(), "crop": crop(4), **odd_files()}[name]
    path = tmp_path / f"picture.{name.rpartition('.')[2]}"
    path.write_bytes(content)
    for crops in (False, True):
        wanted = predictor.predict(path, crops=crops)
        answer = server.predict(content, f"?crops={crops}")
        assert answer.status_code == 200
        told = answer.json()
        faces = [one for one in wanted if one.status != "no_face"]
        assert told["status"] == ("ok" if faces else "no_face")
        assert len(told["faces"]) == len(faces)
        for one, other in zip(told["faces"], faces, strict=True):
            same(one, other)
            assert one["heat"] is None
        with Image.open(path) as image:
            size = image.size[:: -1 if name == "turned.jpg" else 1]
        assert (told["width"], told["height"]) == size


def test_no_face_is_no_answer_about_one(server):
    told = server.predict(wall(), "?heat=true").json()
    assert (told["status"], told["faces"]) == ("no_face", [])


def test_the_region_is_what_the_network_was_shown(server, predictor):
    pixels = read(photo()).astype(int)
    for one in server.predict(photo()).json()["faces"]:
        left, top, right, bottom = map(int, one["region"])
        square = Image.fromarray(pixels[top:bottom, left:right].astype(np.uint8))
        shown = np.asarray(square.resize((48, 48), Image.Resampling.BILINEAR))
        (row,) = predictor.probabilities(shown[None])
        assert list(one["probabilities"].values()) == pytest.approx(row.tolist(), abs=1e-5)
    (whole,) = server.predict(crop(2)).json()["faces"]
    assert whole["region"] == [0, 0, 48, 48]


def test_the_heat_map_is_a_picture_of_the_evidence(server):
    (one,) = server.predict(crop(3), "?heat=true").json()["faces"]
    kind, _, data = one["heat"].partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert (image.mode, image.size) == ("RGBA", (96, 96))
    heat = np.array([[0, 0], [0.2, 1]], np.float32)
    opaque = read(png_of(heat))[..., 3].astype(int)
    assert np.unravel_index(opaque.argmax(), opaque.shape) > (48, 48)
    assert opaque[:20, :20].max() == 0
    assert 0 < opaque[-1, 0] < opaque[-1, -1]


def test_many_at_once_get_each_its_own(server, predictor):
    seeds = range(24)

    async def all_of_them():
        async with server.client() as client:
            posts = (
                client.post("/api/predict?crops=true", files=form(crop(seed))) for seed in seeds
            )
            return await asyncio.gather(*posts)

    wanted = predictor.predict([face(seed) for seed in seeds], crops=True)
    for answer, one in zip(asyncio.run(all_of_them()), wanted, strict=True):
        assert answer.status_code == 200
        same(answer.json()["faces"][0], one)


def test_what_answers_is_told(predictor):
    summary = {
        "val_accuracy": 0.6,
        "val_accuracy_interval": [0.5, 0.7],
        "majority_baseline": 0.3,
    }
    with asking(predictor, summary=summary) as asker:
        told = asker.get("/api/model").json()
        page = asker.get("/").text
    assert told["classes"] == list(predictor.classes)
    assert told["validation"]["interval"] == [0.5, 0.7]
    assert told["temperature"] == predictor.trained.temperature
    assert "60%" in page
    assert "50 to 70%" in page
    assert "are calibrated" in page


def test_whose_the_training_images_were_is_told_if_anybody_said_so(predictor, tmp_path):
    root, run = tmp_path / "data", tmp_path / "run"
    root.mkdir(), run.mkdir()
    config = {"dataset": "folder", "source": "", "data_dir": "data"}
    (run / card.NAME).write_text(f"## Data\n\n{card._source(config, root)}\nOf 9 images ...\n")
    assert read_source(run) is None
    (root / card.NOTE).write_text("The [AB] set: \\ faces, by_nobody.\n")
    (run / card.NAME).write_text(f"## Data\n\n{card._source(config, root)}\nOf 9 images ...\n")
    source = read_source(run)
    assert source == "The [AB] set: \\ faces, by_nobody."
    assert read_source(run / "model.npz") == source
    for told, wanted in ((source, source), (None, "images of its user")):
        with asking(predictor, source=told) as asker:
            assert asker.get("/api/model").json()["trained_on"] == wanted


def test_health_counts_who_is_inside(server):
    assert server.get("/api/health").json() == {"status": "ok", "requests": 0, "places": 32}


def test_the_api_is_described_without_another_address(server):
    described = server.get("/openapi.json").json()
    operation = described["paths"]["/api/predict"]["post"]
    body = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert body["required"] == ["file"]
    assert {"200", "413", "415", "503"} <= operation["responses"].keys()
    page = server.get("/api").text
    for name, schema in described["components"]["schemas"].items():
        assert f'id="{name}"' in page
        for field, of in schema.get("properties", {}).items():
            assert f"<code>{field}</code>" in page
            assert of.get("description"), f"{name}.{field} is not explained"
    assert "<script" not in page
    assert server.get("/docs").status_code == 404


def test_the_examples_have_the_faces_that_they_promise(server):
    counts = {one.name: len(server.predict(one.png).json()["faces"]) for one in examples.drawn()}
    assert counts.pop("three.png") == 3
    assert counts.pop("none.png") == 0
    assert set(counts.values()) == {1}
