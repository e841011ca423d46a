"""Responses of the API: the predictor's predictions, facts about the model, the description."""

import asyncio
import base64
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from faceemo.analysis import card
from faceemo.assets import builtin
from faceemo.inference.serve import examples
from faceemo.inference.serve.heatmaps import encode_heatmap
from faceemo.inference.serve.limits import Limits
from faceemo.inference.serve.model_info import make_model_info, read_source
from faceemo.train.checkpoint import image_terms
from faceemo.train.checkpoint.trained_model import TrainedModel
from tests.support.data.faces import face, odd_files
from tests.support.inference.asking import (
    crop_png,
    decode_pixels,
    make_form,
    open_api,
    photo_png,
    wall_png,
)


@pytest.fixture(scope="module")
def api(predictor):
    with open_api(predictor) as api:
        yield api


def assert_same(face, prediction):
    """Compares a face of the API with a `Prediction`."""
    assert (face["status"], face["label"]) == (prediction.status, prediction.label)
    assert face["leaning"] == prediction.leaning
    assert face["probability"] == max(face["probabilities"].values())
    assert face["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-6)
    assert face["box"] == (list(prediction.box) if prediction.box else None)
    assert face["face_confidence"] == prediction.face_confidence


@pytest.mark.slow
@pytest.mark.parametrize("name", ["photo", "crop", *odd_files()])
def test_an_image_gets_the_predictions_of_the_predictor(api, predictor, tmp_path, name):
    content = {"photo": photo_png(), "crop": crop_png(4), **odd_files()}[name]
    path = tmp_path / f"image.{name.rpartition('.')[2]}"
    path.write_bytes(content)
    for crops in (False, True):
        expected = predictor.predict(path, crops=crops)
        response = api.predict(content, f"?crops={crops}")
        assert response.status_code == 200
        body = response.json()
        faces = [one for one in expected if one.status != "no_face"]
        assert body["status"] == ("ok" if faces else "no_face")
        assert len(body["faces"]) == len(faces)
        for one, other in zip(body["faces"], faces, strict=True):
            assert_same(one, other)
            assert one["heat"] is None
        with Image.open(path) as image:
            size = image.size[:: -1 if name == "turned.jpg" else 1]
        assert (body["width"], body["height"]) == size


@pytest.mark.parametrize("kind", ["JPEG", "AVIF", "HEIF"])
def test_a_turned_photograph_gets_the_boxes_of_the_upright_one(api, kind):
    upright = api.predict(photo_png()).json()
    assert upright["faces"]
    turned = Image.open(io.BytesIO(photo_png())).convert("RGB").transpose(Image.Transpose.ROTATE_90)
    if kind == "JPEG":
        options = {"xmp": b'<rdf:Description tiff:Orientation="6"/>'}
    else:  # these keep it as a property of the container
        exif = Image.Exif()
        exif[0x0112] = 6
        options = {"exif": exif.tobytes()}
    stream = io.BytesIO()
    turned.save(stream, kind, quality=95, **options)
    found = api.predict(stream.getvalue()).json()
    assert (found["width"], found["height"]) == (upright["width"], upright["height"])
    for one, other in zip(found["faces"], upright["faces"], strict=True):
        assert one["box"] == pytest.approx(other["box"], abs=3)


def test_an_image_without_a_face_has_no_predictions(api):
    body = api.predict(wall_png(), "?heat=true").json()
    assert (body["status"], body["faces"]) == ("no_face", [])


def test_the_region_is_the_input_of_the_network(api, predictor):
    pixels = decode_pixels(photo_png()).astype(int)
    for one in api.predict(photo_png()).json()["faces"]:
        left, top, right, bottom = map(int, one["region"])
        square = Image.fromarray(pixels[top:bottom, left:right].astype(np.uint8))
        crop = np.asarray(square.resize((48, 48), Image.Resampling.BILINEAR))
        (row,) = predictor.probabilities(crop[None])
        assert list(one["probabilities"].values()) == pytest.approx(row.tolist(), abs=1e-5)
    (whole,) = api.predict(crop_png(2)).json()["faces"]
    assert whole["region"] == [0, 0, 48, 48]


def test_the_heatmap_is_opaque_where_the_evidence_is(api):
    (one,) = api.predict(crop_png(3), "?heat=true").json()["faces"]
    kind, _, data = one["heat"].partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert (image.mode, image.size) == ("RGBA", (96, 96))
    heat = np.array([[0, 0], [0.2, 1]], np.float32)
    opaque = decode_pixels(encode_heatmap(heat))[..., 3].astype(int)
    row, column = np.unravel_index(opaque.argmax(), opaque.shape)
    assert min(row, column) > 48
    assert opaque[:20, :20].max() == 0
    assert 0 < opaque[-1, 0] < opaque[-1, -1]


def test_concurrent_requests_get_their_own_predictions(api, predictor):
    seeds = range(24)

    async def send_all():
        async with api.make_client() as client:
            posts = (
                client.post("/api/predict?crops=true", files=make_form(crop_png(seed)))
                for seed in seeds
            )
            return await asyncio.gather(*posts)

    expected = predictor.predict([face(seed) for seed in seeds], crops=True)
    for response, one in zip(asyncio.run(send_all()), expected, strict=True):
        assert response.status_code == 200
        assert_same(response.json()["faces"][0], one)


def test_the_model_is_described(predictor):
    summary = {
        "val_accuracy": 0.6,
        "val_accuracy_interval": [0.5, 0.7],
        "majority_baseline": 0.3,
    }
    with open_api(predictor, summary=summary) as api:
        body = api.get("/api/model").json()
        page = api.get("/").text
    assert body["classes"] == list(predictor.classes)
    assert body["validation"]["interval"] == [0.5, 0.7]
    assert body["temperature"] == predictor.trained.temperature
    assert body["engine"].startswith("JAX ")
    assert "60%" in page
    assert "50 to 70%" in page
    assert "are calibrated" in page


def test_the_source_of_the_training_images_is_stated_if_it_is_known(predictor, tmp_path):
    root, run = tmp_path / "data", tmp_path / "run"
    root.mkdir()
    run.mkdir()
    config = {"dataset": "folder", "source": "", "data_dir": "data"}
    (run / card.NAME).write_text(f"## Data\n\n{card._source(config, root)}\nOf 9 images ...\n")
    assert read_source(run) is None
    (root / image_terms.NOTE).write_text("The [AB] set: \\ faces, by_nobody.\n")
    (run / card.NAME).write_text(f"## Data\n\n{card._source(config, root)}\nOf 9 images ...\n")
    source = read_source(run)
    assert source == "The [AB] set: \\ faces, by_nobody."
    assert read_source(run / "model.npz") == source
    for given, expected in ((source, source), (None, "images supplied by its user")):
        with open_api(predictor, source=given) as api:
            assert api.get("/api/model").json()["trained_on"] == expected


def test_the_source_of_the_images_behind_the_initial_weights_is_stated(predictor):
    first = TrainedModel.load(builtin.FOLDERS[builtin.NAME]).recipe
    weights = {"source": builtin.NAME, "trained": first}
    recipe = predictor.trained.recipe | {"weights": weights}
    for terms, expected in ((image_terms.collect([weights]), "FER2013"), ({}, "images whose")):
        trained = dataclasses.replace(predictor.trained, recipe=recipe | {"image_terms": terms})
        info = make_model_info(trained, Limits(), {}, "my faces", 0.5, "JAX")
        said = f"my faces; before that, or through teachers, on: {expected}"
        assert info.trained_on.startswith(said)


def test_health_counts_the_active_requests(api):
    assert api.get("/api/health").json() == {"status": "ok", "requests": 0, "places": 32}


def test_the_api_page_describes_everything_without_other_sites(api):
    openapi = api.get("/openapi.json").json()
    operation = openapi["paths"]["/api/predict"]["post"]
    body = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert body["oneOf"] == [{"required": ["file"]}, {"required": ["files"]}]
    assert {"200", "413", "415", "503"} <= operation["responses"].keys()
    page = api.get("/api").text
    for name, schema in openapi["components"]["schemas"].items():
        assert f'id="{name}"' in page
        for field, description in schema.get("properties", {}).items():
            assert f"<code>{field}</code>" in page
            assert description.get("description"), f"{name}.{field} has no description"
    assert "<script" not in page
    assert api.get("/docs").status_code == 404


def test_the_examples_have_the_stated_number_of_faces(api):
    counts = {
        one.name: len(api.predict(one.png).json()["faces"]) for one in examples.make_examples()
    }
    assert counts.pop("three.png") == 3
    assert counts.pop("none.png") == 0
    assert set(counts.values()) == {1}
