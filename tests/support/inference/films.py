"""Videos of a face that moves to the right, ten frames a second."""

import cv2
import numpy as np

from tests.support.data.faces import face

_Capture = cv2.VideoCapture  # itself, whatever a test puts in its place


def write(path, frames=40, fourcc="mp4v"):
    """Of 320 by 240 pixels; the face is 140 high and moves by 3 a frame."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), 10, (320, 240))
    for frame in range(frames):
        pixels = np.full((240, 320), 128, np.uint8)
        left = 10 + 3 * (frame % 50)
        pixels[50:190, left : left + 140] = face(4, 140)
        writer.write(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


class Camera:
    """Stands for `cv2.VideoCapture`: device 0 films what a file shows, until somebody ends it."""

    def __init__(self, path, frames):
        self.path, self.left, self.opened = path, frames, []

    def __call__(self, source):
        self.opened.append(source)
        self.device = source == 0
        self._film = _Capture(str(self.path) if self.device else source)
        return self

    def __getattr__(self, name):
        return getattr(self._film, name)

    def get(self, what):
        """Nobody knows how many frames a camera will give."""
        count = self.device and what == cv2.CAP_PROP_FRAME_COUNT
        return -1.0 if count else self._film.get(what)

    def grab(self):
        """The next frame; Ctrl-C when it has given as many as it should."""
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return self._film.grab()
