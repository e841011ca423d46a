"""Program that files.py times: answers on whole files with one contestant.

    python files_contestant.py NAME RUN FOLDER LABEL
    python files_contestant.py NAME RUN FOLDER LABEL PHOTO

NAME is one of `files.CONTESTANTS`. FOLDER has a list of files for each task, TASK.txt; the numbers
of images and of faces that were found are written there, into LABEL-TASK.txt. With PHOTO it answers
on that photograph alone, and ends.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

Answer = Callable[[str, Sequence[str]], tuple[int, int]]  # task, paths -> images, faces


def main(name: str, run: str, folder: Path, label: str, photos: Sequence[str]) -> None:
    """Answers on one photograph, or runs the tasks that are asked for."""
    if name == "fer":
        answer = make_fer()
    else:
        _, engine, *unchecked = name.split("-")
        answer = make_faceemo(run, engine, check_faces=not unchecked)
    if photos:
        answer("photographs", photos)
        return
    import timing

    def run_task(task: str) -> None:
        paths = (folder / f"{task}.txt").read_text("utf-8").splitlines()
        images, faces = answer(task, paths)
        (folder / f"{label}-{task}.txt").write_text(f"{images} {faces}", encoding="utf-8")

    tasks = ("photographs", "crops", "film")
    timing.run_tasks({task: lambda task=task: run_task(task) for task in tasks})


def make_faceemo(run: str, engine: str, *, check_faces: bool) -> Answer:
    """Returns faceemo's predictor with an engine, on files as users give them."""
    import faceemo
    from faceemo.inference.images import load_images

    predictor = faceemo.load(run, engine=engine, check_faces=check_faces)

    def answer(task: str, paths: Sequence[str]) -> tuple[int, int]:
        images = faces = 0
        for _, found in predictor.stream(load_images(paths), crops=task == "crops"):
            images += 1
            faces += sum(one.probability is not None for one in found)
        return images, faces

    return answer


def make_fer() -> Answer:
    """Returns fer's own search and network; a film is read frame by frame, as fer does."""
    import cv2
    from fer.fer import FER  # pyright: ignore[reportMissingImports]

    detector = FER()

    def read_frames(path: str):
        film = cv2.VideoCapture(path)
        while (frame := film.read())[0]:
            yield frame[1]

    def answer(task: str, paths: Sequence[str]) -> tuple[int, int]:
        images = faces = 0
        for path in paths:
            for image in read_frames(path) if task == "film" else [cv2.imread(path)]:
                assert image is not None, f"OpenCV cannot read {path}"
                height, width = image.shape[:2]
                whole = [(0, 0, width, height)] if task == "crops" else None
                images += 1
                faces += len(detector.detect_emotions(image, face_rectangles=whole))
        return images, faces

    return answer


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4], sys.argv[5:])
