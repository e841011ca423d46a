"""Several images, raw bodies, regions, thumbnails and previews of the API."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from faceemo.inference.serve import openapi
from faceemo.inference.serve.active import ActiveRequests
from faceemo.inference.serve.errors import ApiError
from faceemo.inference.serve.films.schemas import FilmState
from faceemo.inference.serve.limits import Limits
from faceemo.inference.serve.schemas import ErrorResponse, PredictListResponse, PredictResponse
from tests.support.data.faces import face
from tests.support.inference.asking import (
    crop_png,
    decode_pixels,
    make_form,
    open_api,
    photo_png,
    wall_png,
)

RAW = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def api(predictor):
    with open_api(predictor, Limits(max_bytes=2**20)) as api:
        yield api


def send(api, content, path="/api/predict", headers=RAW):
    return api.request("POST", path, content=content, headers=headers)


def without_seconds(response):
    assert response.status_code == 200, response.text
    return {name: value for name, value in response.json().items() if name != "seconds"}


def test_a_body_is_answered_like_a_form(api):
    expected = without_seconds(api.predict(photo_png()))
    assert expected["faces"]
    for kind in ("image/png", "image/jpeg; q=1", "IMAGE/X-ANY", "application/octet-stream"):
        found = without_seconds(send(api, photo_png(), headers={"Content-Type": kind}))
        assert found == expected


def test_several_images_get_their_answers_in_order(api):
    files = [
        ("files", ("photo.png", photo_png())),
        ("files", ("notes.txt", b"no image")),
        ("files", ("wall.png", wall_png())),
        *(("files", (f"{seed}.png", crop_png(seed))) for seed in range(4)),
    ]
    images = without_seconds(api.request("POST", "/api/predict", files=files))["images"]
    assert [one["index"] for one in images] == list(range(7))
    statuses = [one["status"] for one in images]
    assert statuses == ["ok", "unreadable", "no_face", *["ok"] * 4]
    assert [bool(one["problem"]) for one in images] == [one == "unreadable" for one in statuses]
    assert images[1]["name"] == "notes.txt"
    assert "JPEG, PNG" in images[1]["problem"]
    # faces of several images share a batch, whose rounding may differ in the last digits
    for found, content in ((images[0], photo_png()), (images[5], crop_png(2))):
        alone = without_seconds(api.predict(content))
        assert (found["width"], found["height"]) == (alone["width"], alone["height"])
        for one, other in zip(found["faces"], alone["faces"], strict=True):
            assert one["box"] == other["box"]
            assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
    (only,) = without_seconds(
        api.request("POST", "/api/predict", files=[("files", ("a.png", crop_png(1)))])
    )["images"]
    assert only["status"] == "ok"


@pytest.mark.parametrize(
    ("files", "status", "error"),
    [
        ([("files", ("a.png", b"x"))] * 33, 400, "malformed"),
        ([("files", ("a.png", b"x")), ("file", ("b.png", b"x"))], 400, "malformed"),
        ([("files", ("a.png", b""))], 400, "malformed"),
        ([("files", ("a.png", bytes(2**20 + 1)))], 413, "too_many_bytes"),
        ([("files", ("a.png", bytes(2**20)))] * 5, 413, "too_many_bytes"),
    ],
)
def test_several_images_are_limited(api, files, status, error):
    response = api.request("POST", "/api/predict", files=files)
    assert (response.status_code, response.json()["error"]) == (status, error)


def test_two_images_in_the_field_of_one_are_refused_with_the_fix(api):
    files = [("file", ("a.png", b"x")), ("file", ("b.png", b"x"))]
    assert "'files'" in api.request("POST", "/api/predict", files=files).json()["fix"]


def test_the_bytes_of_all_requests_together_are_limited(predictor):
    limits = Limits(max_bytes=1000, max_requests=5)
    active = ActiveRequests(limits)
    assert active.max_bytes == 5 * (1000 + 16 * 1024)
    with active.counted() as held:
        held.add(active.max_bytes - 10)
        with active.counted() as other:
            other.add(10)
            with pytest.raises(ApiError, match="memory"):
                other.add(1)
    assert (active.count, active.bytes) == (0, 0)
    # one request alone always fits
    assert ActiveRequests(Limits(max_requests=1)).max_bytes >= Limits().max_form_bytes(32)
    with open_api(predictor, Limits(max_bytes=90_000, max_requests=1)) as api:
        files = [("files", (f"{n}.png", bytes(89_000))) for n in range(4)]
        assert api.request("POST", "/api/predict", files=files).status_code == 200


def test_a_region_of_an_earlier_response_gets_the_same_answer(api):
    for one in api.predict(photo_png()).json()["faces"]:
        region = ",".join(map(str, one["region"]))
        (alone,) = send(api, photo_png(), f"/api/predict?region={region}").json()["faces"]
        assert alone["region"] == one["region"]
        assert alone["probabilities"] == pytest.approx(one["probabilities"], abs=1e-5)
        assert (alone["box"], alone["face_confidence"], alone["heat"]) == (None, None, None)
        path = f"/api/predict?region={region}&heat=true"
        (alone,) = send(api, photo_png(), path).json()["faces"]
        with_heat = api.predict(photo_png(), "?heat=true").json()["faces"]
        expected = next(face for face in with_heat if face["region"] == one["region"])["heat"]
        found, expected = (
            decode_pixels(base64.b64decode(heat.partition(",")[2])).astype(int)
            for heat in (alone["heat"], expected)
        )
        assert np.abs(found - expected).max() <= 2


@pytest.mark.parametrize(
    "region",
    [
        *("1,2,3", "a,b,c,d", "nan,0,9,9", "0,0,inf,9", "9,0,9,9", "0,9,9,0", "-9,0,0,9"),
        *("600,0,700,100", "0,300,9,400", "0,0,9000,9", "-99999999,0,99999999,9"),
    ],
)
def test_a_region_that_is_none_is_refused(api, region):
    response = send(api, photo_png(), f"/api/predict?region={region}")
    assert (response.status_code, response.json()["error"]) == (422, "malformed")


def test_a_thumbnail_shows_the_region_in_colour(api):
    pixels = np.full((300, 600, 3), (90, 128, 160), np.uint8)
    pixels[60:220, 200:360] = face(0, 160)[..., None] * np.array([1, 0.8, 0.6])
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    (one,) = send(api, stream.getvalue(), "/api/predict?thumbnails=true").json()["faces"]
    kind, _, data = one["thumbnail"].partition(",")
    assert kind == "data:image/jpeg;base64"
    found = decode_pixels(base64.b64decode(data)).astype(float)
    with Image.open(io.BytesIO(stream.getvalue())) as image:
        region = tuple(map(int, one["region"]))
        expected = np.asarray(image.crop(region).resize((96, 96), Image.Resampling.BILINEAR))
    inside = slice(10, -10)  # beyond the image, edges are repeated
    assert np.abs(found - expected)[inside, inside].mean() < 6


@pytest.mark.parametrize("kind", ["JPEG", "HEIF", "AVIF"])
def test_a_preview_is_upright_and_small(api, kind):
    wide = np.zeros((1000, 2400, 3), np.uint8)
    wide[:, :1200] = (200, 40, 40)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right
    stream = io.BytesIO()
    Image.fromarray(wide).save(stream, kind, exif=exif.tobytes(), quality=90)
    response = send(api, stream.getvalue(), "/api/preview")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/jpeg")
    shown = decode_pixels(response.content).astype(int)
    assert shown.shape == (1600, 667, 3)
    assert np.abs(shown[:700].mean((0, 1)) - (200, 40, 40)).max() < 8
    assert shown[-700:].mean() < 8


def test_what_has_no_preview_is_refused_like_an_image(api):
    response = send(api, b"no image", "/api/preview")
    assert (response.status_code, response.json()["error"]) == (415, "no_picture")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "AVIF", "HEIF"])
def test_damage_is_described_in_words_of_users(api, kind):
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(stream, kind)
    content = stream.getvalue()
    garbled = bytearray(content)
    garbled[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    for damaged in (content[: len(content) * 2 // 3], bytes(garbled), content[:40]):
        response = send(api, damaged)
        if response.status_code != 200:  # some decoders show what is left
            assert response.status_code in (415, 422)
            assert not re.search(r"[A-Z]\w*(Error|Exception)|0x|\w+\(\)", response.text)


def test_the_examples_of_the_description_have_the_stated_form(api):
    assert PredictResponse.model_validate(openapi.ONE_IMAGE).model_dump(mode="json") == (
        openapi.ONE_IMAGE
    )
    several = PredictListResponse.model_validate(openapi.SEVERAL_IMAGES)
    assert several.model_dump(mode="json") == openapi.SEVERAL_IMAGES
    for example in (openapi.FILM_RUNNING, openapi.FILM_DONE):
        assert FilmState.model_validate(example).model_dump() == example
    real = api.request("POST", "/api/predict", files=make_form(b"no image")).json()
    assert ErrorResponse.model_validate(openapi.ERROR).model_dump() == real
    found = {
        name: example["value"]
        for operations in api.get("/openapi.json").json()["paths"].values()
        for operation in operations.values()
        for response in operation["responses"].values()
        for content in response.get("content", {}).values()
        for name, example in content.get("examples", {}).items()
    }
    assert found == openapi.EXAMPLES
    page = api.get("/api").text
    assert page.count("<summary>Example") == 6
    assert "PredictListResponse" in page
    assert not re.search(r"(src|href)=\"(https?:)?//", page)
