"""Films sent to the API: their answers, progress, cancellation, deletion and refusals."""

import csv
import io
import re
import threading
import time
from pathlib import Path

import cv2
import pytest
from PIL import Image

from faceemo.inference import formats
from faceemo.inference.film.summary import FilmRecord, format_csv
from faceemo.inference.serve.films import film as film_module
from faceemo.inference.serve.films.film import RESULTS
from faceemo.inference.serve.limits import Limits
from tests.support.data.faces import face, jpeg
from tests.support.inference import films
from tests.support.inference.asking import make_form, open_api

TIMEOUT = 60  # seconds; far more than what tests wait for takes
RAW = {"Content-Type": "video/mp4"}


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """A film of six frames: a face that moves to the right."""
    return films.write(tmp_path_factory.mktemp("film") / "film.mp4", frames=6).read_bytes()


@pytest.fixture(scope="module")
def api(predictor):
    with open_api(predictor) as api:
        yield api


def send(api, content, query="?name=my film.mp4", headers=RAW, status=202):
    response = api.request("POST", f"/api/films{query}", content=content, headers=headers)
    assert response.status_code == status, response.text
    return response.json()


def wait(api, id):
    """Waits until a film is done or has failed; returns its state."""
    end = time.monotonic() + TIMEOUT
    while (state := api.get(f"/api/films/{id}").json())["status"] in ("waiting", "running"):
        assert time.monotonic() < end
        time.sleep(0.02)
    return state


def list_folders(films_):
    return {Path(one._folder.name) for one in films_._films.values()}


@pytest.fixture
def held(predictor, monkeypatch):
    """Holds the search for faces back until the event is set; `begun` says that it waits."""
    begun, go = threading.Event(), threading.Event()
    find = predictor.find_faces

    def wait_and_find(image, **options):
        begun.set()
        assert go.wait(TIMEOUT)
        return find(image, **options)

    monkeypatch.setattr(predictor, "find_faces", wait_and_find)
    yield begun, go
    go.set()


def test_a_film_gets_the_predictions_of_the_predictor(api, predictor, content, tmp_path):
    state = wait(api, send(api, content, "?name=my film.mp4&every=1")["id"])
    assert (state["status"], state["problem"], state["frames"]) == ("done", "", 6)
    assert (state["every"], state["frame_count"], state["seconds_left"]) == (1, 6, None)
    results = {name: api.get(f"/api/films/{state['id']}/{name}") for name in RESULTS}
    for name, response in results.items():
        assert response.status_code == 200
        assert response.headers["Content-Type"] == RESULTS[name]

    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    expected = predictor.predict(path)
    written = io.StringIO()
    writer = formats.Writer("csv", predictor.classes, written)
    writer.write(expected)
    assert results["predictions.csv"].text == written.getvalue().replace(str(path), "my film.mp4")

    record = FilmRecord(predictor.classes, 0.1)
    for one in expected:
        record.add(one.time, [one])
    tracks = record.summarise()
    assert results["faces.csv"].text == format_csv(tracks, record.classes)
    for found, one in zip(state["tracks"], tracks, strict=True):
        assert (found["track"], found["frames"]) == (one.number, one.frames)
        assert found["shares"] == pytest.approx(one.shares)
        assert found["thumbnail"].startswith("data:image/jpeg;base64,")
    drawn = tmp_path / "drawn.mp4"
    drawn.write_bytes(results["film.mp4"].content)
    video = cv2.VideoCapture(str(drawn))
    assert sum(1 for _ in iter(lambda: video.read()[0], False)) == 6
    assert Image.open(io.BytesIO(results["faces.png"].content)).width > 300


def test_about_five_frames_a_second_are_taken_by_default_and_forms_are_read(api, content):
    """The film has ten a second."""
    response = api.request("POST", "/api/films", files=make_form(content, "a.mp4"))
    assert response.status_code == 202
    state = wait(api, response.json()["id"])
    assert (state["name"], state["every"], state["frames"]) == ("a.mp4", 2, 3)
    table = api.get(f"/api/films/{state['id']}/predictions.csv").text
    assert [row["name"] for row in csv.DictReader(io.StringIO(table))] == [
        "a.mp4#0", "a.mp4#2", "a.mp4#4",
    ]  # fmt: skip


def test_an_animation_is_a_film(api):
    frames = [Image.fromarray(face(4, 150)) for _ in range(2)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=[frames[1].rotate(2)], duration=300)
    body = api.predict(stream.getvalue()).json()
    assert (body["error"], body["fix"]) == ("film", "send it to /api/films")
    state = wait(api, send(api, stream.getvalue(), "?name=a.gif")["id"])
    assert (state["status"], state["frames"]) == ("done", 2)


def test_a_cancelled_film_is_deleted_and_the_next_one_runs(predictor, content, held):
    begun, go = held
    with open_api(predictor) as api:
        first, second = (send(api, content)["id"] for _ in range(2))
        assert begun.wait(TIMEOUT)
        assert api.get(f"/api/films/{first}").json()["status"] == "running"
        assert api.get(f"/api/films/{second}").json()["status"] == "waiting"
        response = api.get(f"/api/films/{first}/film.mp4")
        assert (response.status_code, response.json()["error"]) == (409, "not_done")
        (folder,) = list_folders(api.films) - {Path(api.films.get(second)._folder.name)}
        assert api.request("DELETE", f"/api/films/{first}").status_code == 204
        assert api.get(f"/api/films/{first}").status_code == 404
        go.set()
        assert wait(api, second)["status"] == "done"
        assert not folder.exists()
        (folder,) = list_folders(api.films)
        assert api.request("DELETE", f"/api/films/{second}").status_code == 204
        assert not folder.exists()


def test_a_film_that_nobody_asks_for_is_cancelled_and_deleted(
    predictor, content, held, monkeypatch
):
    begun, go = held
    with open_api(predictor) as api:
        send(api, content)
        assert begun.wait(TIMEOUT)
        (folder,) = list_folders(api.films)
        monkeypatch.setattr(film_module, "KEEP_SECONDS", 0.0)
        go.set()
        end = time.monotonic() + TIMEOUT
        while folder.exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        assert not list_folders(api.films)


def test_no_more_films_are_kept_than_allowed(predictor, content, held):
    begun, go = held
    with open_api(predictor, Limits(max_films=1)) as api:
        first = send(api, content)["id"]
        assert begun.wait(TIMEOUT)
        assert send(api, content, status=503)["error"] == "busy"
        go.set()
        assert wait(api, first)["status"] == "done"
        assert send(api, content, status=503)["error"] == "busy", "its results may be fetched yet"
        api.films.get(first).asked -= 100
        second = send(api, content)["id"]
        assert api.get(f"/api/films/{first}").status_code == 404
        assert wait(api, second)["status"] == "done"


# What FFmpeg takes for a list of other files, which might be any of the server's.
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n\xff\xfe"


@pytest.mark.parametrize(
    ("name", "made", "status"),
    [
        ("notes.mp4", b"no film", 415),
        ("list.mp4", PLAYLIST, 415),
        ("photo.mp4", jpeg(face(1)), 415),
        ("zeros.mp4", bytes(5000), 415),
        ("cut.mp4", "cut", 422),
    ],
)
def test_a_file_that_is_no_film_is_refused_in_words_of_users(api, content, name, made, status):
    before = list_folders(api.films)
    made = content[:700] if made == "cut" else made
    check_message(send(api, made, f"?name={name}", status=status)["message"])
    assert list_folders(api.films) == before


def test_a_film_without_frames_fails_and_its_results_are_refused(api, content):
    begin, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    state = wait(api, send(api, content[:begin] + bytes(end - begin) + content[end:])["id"])
    assert state["status"] == "failed"
    check_message(state["problem"])
    assert not state["tracks"]
    assert api.get(f"/api/films/{state['id']}/film.mp4").status_code == 409


def check_message(text):
    assert re.fullmatch(r"expected .*; found .*\. Fix: .*", text)
    assert not re.search(r"OpenCV|PIL|Error|Exception|Traceback|0x", text)


def test_refusals(predictor, content):
    with open_api(predictor, Limits(max_film_bytes=5000)) as api:
        assert send(api, bytes(6000), status=413)["error"] == "too_many_bytes"
        assert send(api, b"", status=400)["error"] == "malformed"
        text = {"Content-Type": "text/plain"}
        assert send(api, content, headers=text, status=400)["error"] == "malformed"
        body = send(api, content, "?every=-1", status=422)
        assert (body["error"], body["found"]) == ("malformed", "every=-1")
        assert api.get("/api/films/nothing").json()["error"] == "no_such_film"
        response = api.request("POST", "/api/films", files={"picture": ("a.mp4", content)})
        assert (response.status_code, response.json()["error"]) == (400, "malformed")
        assert not list_folders(api.films), "a film that did not arrive is kept"
    with open_api(predictor, Limits(max_film_bytes=0)) as api:
        assert send(api, content, status=403)["error"] == "no_films"
        page = api.get("/").text
        assert "films" not in page.partition("<footer")[0].lower()
        assert "False" not in page


def test_a_stopped_server_keeps_nothing(predictor, content, held):
    begun, go = held
    with open_api(predictor) as api:
        send(api, content)
        assert begun.wait(TIMEOUT)
        (folder,) = list_folders(api.films)
        threading.Timer(0.1, go.set).start()
    assert not folder.exists()
