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
        improbable = row.max() < about["thresholds"]["unsure"]
        reason = face["doubt"] or (about["check"]["reasons"]["improbable"] if improbable else "")
        leaning = about["classes"][row.argmax()]
        answer = {
            "status": "unsure" if reason else "ok",
            "reason": reason,
            "label": None if reason else leaning,
            "leaning": leaning,
            "probabilities": dict(zip(about["classes"], row.tolist(), strict=True)),
        }
        print(json.dumps(answer | {key: face[key] for key in ("box", "face_confidence", "region")}))
    if not faces:
        print(json.dumps({"status": "no_face"}))
