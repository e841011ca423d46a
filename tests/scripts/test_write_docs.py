"""The pages that a script writes: current, complete, and written whole."""

import ast
import re
import sys

import pytest
from PIL import Image

from faceemo import errors
from faceemo.config import RULES
from tests.support.places import REPOSITORY, SCRIPTS

sys.path.append(str(SCRIPTS))

import write_docs
from documentation import configuration, troubleshooting, tutorial
from documentation.user_errors import find_messages


def test_the_page_of_fields_is_current():
    """`python scripts/write_docs.py configuration` writes it."""
    assert (REPOSITORY / "docs/configuration.md").read_text("utf-8") == configuration.render()


def test_the_page_of_fields_is_complete():
    text = (REPOSITORY / "docs/configuration.md").read_text("utf-8")
    listed = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    assert sorted(set(listed) & RULES.keys()) == sorted(RULES)


def test_the_page_of_errors_is_current():
    """`python scripts/write_docs.py troubleshooting` writes it."""
    text = (REPOSITORY / "docs/troubleshooting.md").read_text("utf-8")
    assert text == troubleshooting.render(text)


def literals(node):
    """Yields the fixed texts in an expression."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield " ".join(part.value.split()).removeprefix("Fix: ")


def test_the_page_of_errors_is_complete():
    """The longest fixed text of each error's first part is on the page."""
    text = (REPOSITORY / "docs/troubleshooting.md").read_text("utf-8").replace("\\|", "|")
    count, lost = 0, []
    for path in [*REPOSITORY.glob("faceemo/**/*.py"), *SCRIPTS.rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not ast.unparse(node.func).endswith("UserError"):
                continue
            count += 1
            first = [word.value for word in node.keywords if word.arg == "expected"] or node.args
            fixed = max((part for value in first for part in literals(value)), key=len, default="")
            if fixed not in text:
                lost.append(f"{path.relative_to(REPOSITORY)}:{node.lineno}: {fixed}")
    assert count > 100
    assert lost == []


def test_refusals_of_the_disk_are_on_the_page_of_errors():
    text = (REPOSITORY / "docs/troubleshooting.md").read_text("utf-8")
    assert all(f"`{expected}`" in text for expected, _ in errors._REFUSALS.values())


def is_variable(word):
    """Returns whether a word stands for what varies: '…', '...', or a name in capitals."""
    return not re.search("[a-z0-9]", word)


def begins(heading, message):
    """Returns whether the words of a message, with what varies in them, begin like a heading."""
    if not heading or not message:
        return not heading
    if is_variable(message[0]):
        return any(begins(heading[n:], message[1:]) for n in range(1, len(heading) + 1))
    fixed = re.split(r"…|[A-Z]{3,}", message[0].rstrip(",:"))
    same = re.fullmatch(".*".join(map(re.escape, fixed)), heading[0].rstrip(",:"))
    return bool(same or is_variable(heading[0])) and begins(heading[1:], message[1:])


def test_errors_that_are_explained_have_the_words_of_the_code():
    page = (REPOSITORY / "docs/troubleshooting.md").read_text("utf-8")
    by_hand = " ".join(page.partition(troubleshooting.BEGIN)[0].split())
    headings = re.findall(r'"expected ([^"]+)"', by_hand)
    assert len(headings) > 20
    messages = [re.sub(r"[\[\]]", "", found.expected).split() for found in find_messages()]
    lost = []
    for heading in headings:
        words = heading.partition(";")[0].split()
        # A message that begins with what varies could begin with anything.
        fixed = (
            messages if is_variable(words[0]) else (m for m in messages if not is_variable(m[0]))
        )
        if not any(begins(words, message) for message in fixed):
            lost.append(heading)
    assert lost == []


def test_warnings_are_on_the_page_of_errors():
    """The first clause of each, as far as it is fixed."""
    text = (REPOSITORY / "docs/troubleshooting.md").read_text("utf-8")
    warnings = text.partition("## Warnings")[2].partition("## All errors")[0]
    clauses = set()
    for path in REPOSITORY.glob("faceemo/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
                parts = list(literals(node))
                if any(re.match("(faceemo: )?warning:", part) for part in parts):
                    split = [clause for part in parts for clause in re.split("[:,;(]", part)]
                    clauses.add(next((one.strip() for one in split if one.count(" ") > 3), ""))
    assert len(clauses) > 3
    assert {clause for clause in clauses if clause not in warnings} == set()


def test_scripts_write_the_pages(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(write_docs, "DOCS", tmp_path)
    (tmp_path / "troubleshooting.md").write_text(f"by hand\n{troubleshooting.BEGIN}\nan old list\n")
    monkeypatch.setattr(sys, "argv", ["write_docs.py", "configuration", "troubleshooting"])
    write_docs.main()
    written = (tmp_path / "troubleshooting.md").read_text()
    assert written.startswith("by hand\n")
    assert "an old list" not in written
    assert str(tmp_path / "configuration.md") in capsys.readouterr().out


TUTORIAL = """# A page
```python
from PIL import Image

Image.new("L", (1800, 600), 90).save("grey.png")
```

```
echo one
echo two >&2
```

```text
an old output
```

<!-- copy: grey.png -->
![grey](images/grey_page.png)
"""


def test_a_tutorial_gets_the_outputs_and_pictures_of_its_commands(tmp_path):
    page = tutorial.render(TUTORIAL, tmp_path / "images")
    assert page == TUTORIAL.replace("an old output", "one\ntwo")
    picture = Image.open(tmp_path / "images" / "grey_page.png")
    assert picture.size == (900, 300)
    assert picture.convert("L").getextrema() == (90, 90)


def test_a_tutorial_stops_at_a_command_that_fails(tmp_path):
    with pytest.raises(errors.UserError, match="exit code 3: lost"):
        tutorial.render("```\necho lost; exit 3\n```\n", tmp_path)
