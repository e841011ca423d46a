"""Videos of a face that moves to the right, and a webcam that plays them."""

import cv2
import numpy as np

from tests.support.data.faces import face

_VideoCapture = cv2.VideoCapture  # the original, whatever a test puts in its place


def write(path, frames=40, fourcc="mp4v"):
    """Writes a video of 320 by 240 pixels, ten frames a second; returns its path.

    The face is 140 pixels high and moves by 3 pixels per frame.
    """
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), 10, (320, 240))
    for frame in range(frames):
        pixels = np.full((240, 320), 128, np.uint8)
        left = 10 + 3 * (frame % 50)
        pixels[50:190, left : left + 140] = face(4, 140)
        writer.write(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


class FakeCamera:
    """A `cv2.VideoCapture` whose device 0 plays a file until Ctrl-C.

    Args:
        path: The file.
        frames: The number of frames before Ctrl-C.
    """

    def __init__(self, path, frames):
        self.path, self.left, self.opened = path, frames, []

    def __call__(self, source):
        self.opened.append(source)
        self.device = source == 0
        self._video = _VideoCapture(str(self.path) if self.device else source)
        return self

    def __getattr__(self, name):
        return getattr(self._video, name)

    def get(self, what):
        """Returns a property; the frame count of a camera is unknown."""
        count = self.device and what == cv2.CAP_PROP_FRAME_COUNT
        return -1.0 if count else self._video.get(what)

    def grab(self):
        """Takes the next frame; raises KeyboardInterrupt after the last one."""
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return self._video.grab()
