"""Prints the emotion of each face in a photograph, by Keras; needs no faceemo.

pip install keras tensorflow numpy pillow 'opencv-python-headless<5'
python examples/with_keras.py model.keras photo.jpg
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
from answers import print_answers
from find_faces import find_faces

model, photo = sys.argv[1:]
about = json.loads(Path(f"{model}.json").read_text())
faces = find_faces(photo, about)
crops = np.array([face["crop"] for face in faces], np.uint8)
crops = crops.reshape(-1, *about["input"]["shape"][1:])
network = keras.models.load_model(model, compile=False)
probabilities = np.asarray(network(crops))

print_answers(faces, probabilities, about)
