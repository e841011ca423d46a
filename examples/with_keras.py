"""Prints the emotion of each face in a photograph, by Keras; needs no faceemo.

pip install keras tensorflow numpy pillow 'opencv-python-headless<5'
python examples/with_keras.py model.keras photo.jpg
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
from find_faces import find_faces

model, photo = sys.argv[1:]
about = json.loads(Path(f"{model}.json").read_text())
faces = find_faces(photo, about)
crops = np.array([face["crop"] for face in faces], np.uint8)
crops = crops.reshape(-1, *about["input"]["shape"][1:])
network = keras.models.load_model(model, compile=False)
probabilities = np.asarray(network(crops))

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
