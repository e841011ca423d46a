"""The pages of the documentation: their links, code blocks and command lines."""

import re
import shlex
from typing import NamedTuple

from tests.support.places import REPOSITORY

PAGES = sorted(
    [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")],
    key=lambda path: path.relative_to(REPOSITORY).as_posix(),
)
# The card that comes with the network is a page, too.
CARD = REPOSITORY / "faceemo/inference/builtin/card.md"
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROGRAMS = r"(?:faceemo|python -m faceemo\.main|python scripts/\w+\.py|bash scripts/\w+\.sh)"


class Block(NamedTuple):
    """A fenced block of code."""

    page: str  # relative to the repository
    language: str
    code: str


class CommandLine(NamedTuple):
    """A command line in a page, without the prompt and comments."""

    page: str
    words: tuple[str, ...]
    whole: bool  # whether it stands in a block; inline code may name a part of a command


def blocks():
    """Lists all fenced blocks."""
    return [
        Block(name(path), language, code)
        for path in PAGES
        for language, code in _FENCED.findall(path.read_text("utf-8"))
    ]


def command_lines():
    """Lists the command lines of faceemo and of scripts, in blocks and in inline code."""
    found = []
    for block in blocks():
        if block.language in ("", "bash", "console"):
            found += [CommandLine(block.page, words, True) for words in split_lines(block.code)]
    for path in PAGES:
        prose = _FENCED.sub("", path.read_text("utf-8"))
        for code in re.findall(rf"(?<!`)`({_PROGRAMS} [^`]*)`(?!`)", prose):
            found.append(CommandLine(name(path), tuple(shlex.split(code)), False))
    return found


def split_lines(code):
    """Yields the words of the lines that run faceemo or a script; variables are filled in."""
    variables = {}
    for line in code.replace("\\\n", " ").splitlines():
        for variable, value in variables.items():
            line = line.replace(f"${variable}", value)
        if assigned := re.fullmatch(r"([A-Z]+)=(\S+)", line.strip()):
            variables[assigned[1]] = assigned[2]
        elif re.match(rf"{_PROGRAMS}(?:\s|$)", line.strip()):
            yield tuple(shlex.split(line, comments=True))


def without_code(text):
    """Returns a page without its blocks and inline code."""
    return re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", _FENCED.sub("", text), flags=re.DOTALL)


def anchors(text):
    """Returns the anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)$", _FENCED.sub("", text), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in plain}


def name(path):
    """Returns the path of a page relative to the repository."""
    return path.relative_to(REPOSITORY).as_posix()
