"""What the OpenAPI description of the API adds: bodies of requests, errors and examples."""

from typing import Any

from faceemo.inference.serve.schemas import ErrorResponse

_BINARY = {"type": "string", "format": "binary"}
_IMAGE = {**_BINARY, "description": "The image."}
_JSON = "application/json"

_HAPPY: dict[str, Any] = {
    "status": "ok",
    "label": "happy",
    "leaning": "happy",
    "probability": 0.93,
    "probabilities": {"happy": 0.93, "neutral": 0.05, "sad": 0.02},
    "box": [212.5, 84.0, 298.0, 196.5],
    "region": [199.0, 84.0, 312.0, 197.0],
    "face_confidence": 0.998,
    "time": None,
    "track": None,
    "reason": "",
    "heat": None,
    "thumbnail": None,
}
ONE_IMAGE: dict[str, Any] = {
    "status": "ok",
    "width": 640,
    "height": 480,
    "faces": [_HAPPY],
    "without_heat": 0,
    "seconds": 0.214,
}
SEVERAL_IMAGES: dict[str, Any] = {
    "images": [
        {
            "index": 0,
            "name": "photo.jpg",
            "status": "ok",
            "problem": "",
            "width": 640,
            "height": 480,
            "faces": [_HAPPY],
            "without_heat": 0,
        },
        {
            "index": 1,
            "name": "notes.txt",
            "status": "unreadable",
            "problem": "expected an image file: JPEG, PNG, WebP, BMP, AVIF or HEIC, recognised by "
            "content, not by name; found a file of another format. Fix: save the image as JPEG",
            "width": None,
            "height": None,
            "faces": [],
            "without_heat": 0,
        },
    ],
    "seconds": 0.231,
}
FILM_RUNNING: dict[str, Any] = {
    "id": "kQ7f0Vw2b1tYl8mN3xZcRg",
    "name": "film.mp4",
    "status": "running",
    "problem": "",
    "every": 5,
    "frames": 42,
    "frame_count": 120,
    "seconds_left": 12.5,
    "tracks": [],
}
FILM_DONE: dict[str, Any] = {
    **FILM_RUNNING,
    "status": "done",
    "frames": 120,
    "seconds_left": None,
    "tracks": [
        {
            "track": 1,
            "begin": 0.0,
            "end": 19.8,
            "seconds": 18.6,
            "frames": 112,
            "shares": {"happy": 0.61, "neutral": 0.3, "sad": 0.02, "unsure": 0.07},
            "thumbnail": "data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ...",
        }
    ],
}
ERROR: dict[str, Any] = {
    "error": "no_picture",
    "expected": "an image file: JPEG, PNG, WebP, BMP, AVIF or HEIC, recognised by content, not by "
    "name",
    "found": "a file of another format",
    "fix": "save the image as JPEG",
    "message": SEVERAL_IMAGES["images"][1]["problem"],
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "one_image": ONE_IMAGE,
    "several_images": SEVERAL_IMAGES,
    "a_text_file": ERROR,
    "a_film": FILM_RUNNING,
    "being_predicted_on": FILM_RUNNING,
    "done": FILM_DONE,
}

_REQUEST_ERRORS = {
    400: "the request does not hold what it should, or not in an accepted way",
    403: "a page of another site sent the request",
    408: "the upload took too long",
    413: "the file has too many bytes, or the image too many pixels",
    415: "the content of the file is not an image in an accepted format",
    421: "the host name is not one of this server's",
    422: "the image is damaged, or a query parameter is unknown or invalid",
    503: "the server is busy, or took too long; Retry-After says when to try again",
}
_NO_FILM = {
    404: "no such film, or it was deleted",
    421: _REQUEST_ERRORS[421],
    422: "a parameter is invalid",
}


def _describe_errors(*texts: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    """Returns FastAPI's description of error responses, by status; later texts replace earlier."""
    merged: dict[int, str] = {}
    for one in texts:
        merged |= one
    return {
        status: {"model": ErrorResponse, "description": merged[status]} for status in sorted(merged)
    }


def _show(*names: str) -> dict[str, Any]:
    """Returns FastAPI's description of a JSON content with some of `EXAMPLES`."""
    examples = {
        name: {"summary": name.replace("_", " "), "value": EXAMPLES[name]} for name in names
    }
    return {_JSON: {"examples": examples}}


PREDICT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the predictions; a list of images if they were in the field 'files'",
        "content": _show("one_image", "several_images"),
    },
    **_describe_errors(_REQUEST_ERRORS),
}
PREDICT_RESPONSES[415]["content"] = _show("a_text_file")
PREVIEW_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "the picture", "content": {"image/jpeg": {"schema": _BINARY}}},
    **_describe_errors(_REQUEST_ERRORS),
}
FILM_RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {"description": "the film was received", "content": _show("a_film")},
    **_describe_errors(
        {status: _REQUEST_ERRORS[status] for status in (400, 408, 421)},
        {
            403: "a page of another site sent the request, or the server takes no films",
            413: "the film has too many bytes",
            415: "the content of the file is not a film",
            422: "the film is damaged, or a query parameter is invalid",
            503: "the server holds as many films as it may; Retry-After says when to try again",
        },
    ),
}
FILM_STATE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "the state", "content": _show("being_predicted_on", "done")},
    **_describe_errors(_NO_FILM),
}
NO_FILM_RESPONSES = {204: {"description": "it is deleted"}, **_describe_errors(_NO_FILM)}
RESULT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the file",
        "content": {
            "video/mp4": {"schema": _BINARY},
            "text/csv": {"schema": {"type": "string"}},
            "image/png": {"schema": _BINARY},
        },
    },
    **_describe_errors(_NO_FILM, {409: "the film is not done yet"}),
}


def complete_examples(description: dict[str, Any]) -> dict[str, Any]:
    """Puts the nulls back into the examples of a description, from which FastAPI removes them."""
    for operations in description["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                examples = response.get("content", {}).get(_JSON, {}).get("examples", {})
                for name, example in examples.items():
                    example["value"] = EXAMPLES[name]
    return description


def describe_images(*, several: bool) -> dict[str, Any]:
    """Returns the description of a body with one image, or several if they are accepted."""
    properties: dict[str, Any] = {"file": _IMAGE}
    choices: dict[str, Any] = {"required": ["file"]}
    if several:
        properties["files"] = {
            "type": "array",
            "items": _BINARY,
            "description": "Several images, in place of 'file'; the response is a list then.",
        }
        choices = {"oneOf": [{"required": ["file"]}, {"required": ["files"]}]}
    form = {"type": "object", "properties": properties, **choices}
    raw = {"schema": _BINARY}
    return _describe_body(form, **{"image/*": raw, "application/octet-stream": raw})


def describe_film() -> dict[str, Any]:
    """Returns the description of a body with one film."""
    film = {**_BINARY, "description": "The film."}
    form = {"type": "object", "properties": {"file": film}, "required": ["file"]}
    raw = {"schema": _BINARY}
    return _describe_body(form, **{"video/*": raw, "application/octet-stream": raw})


def _describe_body(form: dict[str, Any], **raw: dict[str, Any]) -> dict[str, Any]:
    content = {"multipart/form-data": {"schema": form}, **raw}
    return {"requestBody": {"required": True, "content": content}}
