"""Sorts the images by whether a face detector finds a face in them; unpacks them first if needed.

    python scripts/detect_faces.py --data_dir data --face_threshold 0.5

Runs the detector once per image, fills data/face_detection and data/ledger.jsonl, and draws
data/pictures/faces.png. Another threshold is then applied from the ledger within seconds.
"""

from faceemo.data.prepare import cli

if __name__ == "__main__":
    cli.run(__doc__, "screen")
