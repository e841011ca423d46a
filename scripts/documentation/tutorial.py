"""The outputs and pictures of docs/tutorial.md, made by running the page.

The page is run from top to bottom in an empty folder. A fenced block without a language holds
commands, a python block a program. If a block of the language `text` follows, it gets the output.
Comments, which no reader sees, say where the picture in the line below them comes from:

    <!-- background -->                           the commands below run until the end of the page
    <!-- copy: annotated/photo.png -->            a picture that a command wrote
    <!-- screenshot: PATH_OR_URL 1000x800 -->     a page in Chromium
    <!-- screenshot: PATH_OR_URL 1000x800 SCRIPT -->      ... when this JavaScript has become true
"""

import base64
import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from faceemo.errors import UserError
from tests.support import chromium

_REPOSITORY = Path(__file__).parents[2]
_MAX_WIDTH = 900  # of a picture, pixels
_COLOURS = 128  # of a picture; fewer make smaller files
_PARTS = re.compile(
    r"^```(?P<language>\w*)\n(?P<code>.*?)^```$"
    r"|^<!-- (?P<word>background|copy|screenshot)(?:: (?P<source>.*?))? -->$"
    r"|^!\[[^\]]*\]\(images/(?P<picture>[\w.-]+)\)$",
    re.MULTILINE | re.DOTALL,
)


def render(page: str, pictures: Path) -> str:
    """Runs a page; returns it with the outputs of its commands.

    Args:
        page: Text of the page so far.
        pictures: Folder for its pictures.

    Raises:
        UserError: If a command fails.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="faceemo-tutorial-"))
        return _PARTS.sub(_Run(Path(folder), pictures, stack).replace, page)


class _Run:
    """One run of a page.

    Args:
        folder: Empty folder in which the commands run.
        pictures: Folder for the pictures of the page.
        stack: Ends the commands in the background.
    """

    def __init__(self, folder: Path, pictures: Path, stack: contextlib.ExitStack):
        self._folder, self._pictures, self._stack = folder, pictures, stack
        self._output, self._comment = "", ("", "")
        programs = folder / ".bin"
        programs.mkdir()
        command = programs / "faceemo"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m faceemo "$@"\n')
        command.chmod(0o755)
        path = os.pathsep.join(
            [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
        )
        self._environment = os.environ | {"PATH": path, "PYTHONPATH": str(_REPOSITORY)}

    def replace(self, part: re.Match[str]) -> str:
        """Runs a part of the page; returns its new text."""
        comment, self._comment = self._comment, ("", "")
        if part["word"]:
            self._comment = part["word"], part["source"] or ""
        elif part["picture"]:
            self._draw(self._pictures / part["picture"], *comment)
        elif part["language"] == "text":
            return f"```text\n{self._output}```"
        elif part["language"] == "python":
            self._output = self._execute([sys.executable, "-c", part["code"]])
        elif comment[0] == "background":
            self._output = self._start(part["code"])
        elif not part["language"]:
            self._output = self._execute(["bash", "-euc", part["code"]])
        return part[0]

    def _execute(self, words: list[str]) -> str:
        """Runs a command; returns what it prints."""
        finished = subprocess.run(
            words, cwd=self._folder, env=self._environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if finished.returncode:
            raise UserError(
                expected=f"a command that succeeds: {words[-1].strip()}",
                found=f"exit code {finished.returncode}: {finished.stdout.strip()[-500:]}",
                fix="correct docs/tutorial.md",
            )
        return _tidy(finished.stdout)

    def _start(self, code: str) -> str:
        """Starts a command in the background; returns the first line that it prints to stdout."""
        process = self._stack.enter_context(
            subprocess.Popen(
                ["bash", "-euc", f"exec {code}"],
                cwd=self._folder,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        self._stack.callback(process.terminate)
        assert process.stdout is not None
        return _tidy(process.stdout.readline())

    def _draw(self, target: Path, word: str, source: str) -> None:
        """Writes the picture that the comment above it describes."""
        if word == "copy":
            picture = Image.open(self._folder / source)
        elif word == "screenshot":
            place, size, *script = source.split(" ", 2)
            width, height = map(int, size.split("x"))
            where = place if "://" in place else self._folder / place
            picture = _photograph(where, width, height, script[0] if script else "true")
        else:
            return
        picture = picture.convert("RGB")
        picture.thumbnail((_MAX_WIDTH, 10 * _MAX_WIDTH))
        target.parent.mkdir(exist_ok=True)
        picture.quantize(_COLOURS).save(target, optimize=True)


def _photograph(place: str | Path, width: int, height: int, script: str) -> Image.Image:
    """Opens a page in Chromium, and takes its picture when a script has become true."""
    with (
        tempfile.TemporaryDirectory(prefix="faceemo-chromium-") as profile,
        chromium.open_page(profile) as page,
    ):
        page.open(place, width=width, height=height)
        page.wait(script)
        time.sleep(1)  # pictures in the page are decoded meanwhile
        data = page.call("Page.captureScreenshot")["data"]
    return Image.open(io.BytesIO(base64.b64decode(data)))


def _tidy(output: str) -> str:
    """Returns an output without blanks at the ends of its lines and without empty last lines."""
    return "".join(f"{line.rstrip()}\n" for line in output.rstrip().splitlines())
