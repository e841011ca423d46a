"""The list of all errors in docs/troubleshooting.md, made from the code that raises them."""

from documentation.user_errors import Message, find_messages

BEGIN = "<!-- Below this line: written by scripts/write_docs.py troubleshooting. -->"
# Beginning of the path of a file: the heading of its errors. The first one that fits counts.
_TOPICS = {
    "faceemo/main": "Commands and fields",
    "faceemo/commands/": "Commands and fields",
    "faceemo/config/": "Commands and fields",
    "faceemo/data/source/": "Images and their source",
    "faceemo/data/": "Preparation and the ledger",
    "faceemo/assets/": "Weights and downloads",
    "faceemo/models/": "Weights and downloads",
    "faceemo/train/checkpoint/": "Runs and checkpoints",
    "faceemo/train/": "Training",
    "faceemo/analysis/": "Evaluation and reports",
    "faceemo/experiments/": "Modes of a run, sweeps and comparisons",
    "faceemo/inference/export/": "Export",
    "faceemo/inference/serve/": "Server",
    "faceemo/inference/": "Prediction",
    "faceemo/errors": "Missing packages",
    "faceemo/": "Other",
    "scripts/": "Scripts",
}


def render(page: str) -> str:
    """Returns a page whose part after the line `BEGIN` is written anew.

    Args:
        page: Text of the page so far.
    """
    by_hand, line, _ = page.partition(BEGIN)
    if not line:
        raise ValueError(f"docs/troubleshooting.md lacks the line {BEGIN}")
    topics: dict[str, list[Message]] = {topic: [] for topic in _TOPICS.values()}
    for message in find_messages():
        topics[find_topic(message.path)].append(message)
    sections = [
        f"### {topic}\n\n| expected | found | fix |\n|---|---|---|\n{_rows(messages)}"
        for topic, messages in topics.items()
        if messages
    ]
    return f"{by_hand}{BEGIN}\n\n" + "\n".join(sections)


def find_topic(path: str) -> str:
    """Returns the heading under which the errors of a file are listed."""
    return next(topic for start, topic in _TOPICS.items() if path.startswith(start))


def _rows(messages: list[Message]) -> str:
    """Returns the rows of a table, each message once, in the order of the alphabet."""
    rows = {
        f"| {_cell(message.expected)} | {_cell(message.found)} | {_cell(message.fix)} |\n"
        for message in messages
    }
    return "".join(sorted(rows, key=str.casefold))


def _cell(text: str) -> str:
    """Returns a text as code in a cell of a table."""
    words = " ".join(text.split()).replace("|", "\\|")
    return f"`` {words} ``" if "`" in words else f"`{words}`"
