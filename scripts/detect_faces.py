"""Sorts the images by whether a face detector finds a face (and unpacks them, if need be).

    python scripts/detect_faces.py --data_dir data --face_threshold 0.5

Measures every image once, fills data/face_detection and data/ledger.jsonl, and draws
data/pictures/faces.png. Another threshold is judged from the ledger, in seconds.
"""

from faceemo.data.prepare import cli

if __name__ == "__main__":
    cli.run(__doc__, "screen")
