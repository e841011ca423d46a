"""Prints the emotion of each face in a photograph, by LiteRT; needs no faceemo.

pip install ai-edge-litert numpy pillow 'opencv-python-headless<5'
python examples/with_litert.py model.tflite photo.jpg
"""

import json
import sys
from pathlib import Path

import numpy as np
from answers import print_answers
from find_faces import find_faces

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:  # in TensorFlow the same interpreter
    from tensorflow.lite.python.interpreter import Interpreter

model, photo = sys.argv[1:]
about = json.loads(Path(f"{model}.json").read_text())
faces = find_faces(photo, about)
crops = np.array([face["crop"] for face in faces], np.uint8)
crops = crops.reshape(-1, *about["input"]["shape"][1:])
network = Interpreter(model).get_signature_runner()
probabilities = [network(faces=crop[None])["probabilities"][0] for crop in crops]

print_answers(faces, probabilities, about)
