"""Says what a network's probabilities mean, as `faceemo predict` does."""

import json


def print_answers(faces, probabilities, about):
    """Prints one JSON object a line for each face; for a photograph without any, one that says so.

    Args:
        faces: The faces, as `find_faces` returns them.
        probabilities: The exported file's output for their crops, [N, C].
        about: The description beside the exported file.
    """
    for face, row in zip(faces, probabilities, strict=True):
        sure, leaning = row.max() >= about["thresholds"]["unsure"], about["classes"][row.argmax()]
        answer = {
            "status": "ok" if sure else "unsure",
            "label": leaning if sure else None,
            "leaning": leaning,
            "probabilities": dict(zip(about["classes"], row.tolist(), strict=True)),
        }
        print(json.dumps(answer | {key: face[key] for key in ("box", "face_confidence", "region")}))
    if not faces:
        print(json.dumps({"status": "no_face"}))
