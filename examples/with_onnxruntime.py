"""Prints the emotion of each face in a photograph, by onnxruntime; needs no faceemo.

pip install onnxruntime numpy pillow 'opencv-python-headless<5'
python examples/with_onnxruntime.py model.onnx photo.jpg
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from answers import print_answers
from find_faces import find_faces

model, photo = sys.argv[1:]
about = json.loads(Path(f"{model}.json").read_text())
faces = find_faces(photo, about)
crops = np.array([face["crop"] for face in faces], np.uint8)
crops = crops.reshape(-1, *about["input"]["shape"][1:])
session = onnxruntime.InferenceSession(model)
(probabilities,) = session.run(["probabilities"], {"faces": crops})

print_answers(faces, probabilities, about)
