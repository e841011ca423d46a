"""The documentation agrees with the code: links, command lines, programs; the site is built."""

import argparse
import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ml_collections import ConfigDict

import faceemo
from faceemo import main
from faceemo.commands import cli, targets
from faceemo.commands.field_options import given_fields
from tests.support import pages
from tests.support.places import CONFIGS, REPOSITORY, SCRIPTS

sys.path.append(str(SCRIPTS))

from documentation import site

TAKE_A_CONFIGURATION = ("train", "evaluate", "plan", "lr-find")


def texts():
    return {pages.name(path): path.read_text("utf-8") for path in (*pages.PAGES, pages.CARD)}


def test_links_lead_to_files_and_headings():
    known = texts()
    lost = []
    for page, text in known.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", pages.without_code(text)):
            path, _, anchor = target.partition("#")
            if "://" in path:
                continue
            found = (REPOSITORY / page).parent / path if path else REPOSITORY / page
            headings = (
                pages.anchors(found.read_text("utf-8")) if anchor and found.exists() else set()
            )
            if not found.exists() or (anchor and anchor not in headings):
                lost.append(f"{page}: {target}")
    assert lost == []


def test_every_page_is_linked_from_the_first():
    """Checks the first page of the site; README is the first page of the repository."""
    linked = set(re.findall(r"\]\(([\w/.]+\.md)", (REPOSITORY / "docs/index.md").read_text()))
    written = {path.name for path in (REPOSITORY / "docs").glob("*.md")} - {"index.md"}
    assert written <= linked


class Parsed(Exception):
    """Raised in place of what a command would do."""


@pytest.fixture
def somewhere(tmp_path, monkeypatch):
    """A folder in which the files exist that the command lines of the pages name."""
    monkeypatch.chdir(tmp_path)
    Path("configs").symlink_to(CONFIGS)
    seeds = ("second.npz", "second1.npz", "second2.npz")
    for name in ("A.npz", "B.npz", "first.npz", *seeds, "builtin.npz", "FIRST/model.npz"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    return tmp_path


WHOLE = [line for line in pages.command_lines() if line.whole]


@pytest.mark.parametrize("line", WHOLE, ids=lambda line: " ".join(line.words)[:60])
def test_a_command_line_is_parsed(line, somewhere, monkeypatch):
    program, *rest = line.words
    if program == "faceemo":
        parse_command(rest)
    elif rest[:2] == ["-m", "faceemo.main"]:
        parse_flags(rest[1:], monkeypatch)
    elif program == "bash":
        assert (REPOSITORY / rest[0]).is_file()
    else:
        parse_script(rest[0], rest[1:], monkeypatch)


def parse_command(words):
    """Parses the words after `faceemo`, and the configuration among them."""
    _, parsers = cli.make_parsers()
    command = cli.make_commands()[words[0]]
    options = command.parse(parsers[command.name], words[1:])
    if command.name in TAKE_A_CONFIGURATION and ":" in options.target:
        targets.resolve(options.target, given_fields(options))


def parse_flags(words, monkeypatch):
    """Parses the words after `python -m`."""
    monkeypatch.setattr(sys, "argv", words)  # where ml_collections finds --config.FIELD
    main.flags.FLAGS.unparse_flags()
    try:
        assert main._parse(words) == words[:1]
        assert isinstance(main._CONFIG.value, ConfigDict)
    finally:
        main.flags.FLAGS.unparse_flags()


def parse_script(path, words, monkeypatch):
    """Runs a script until its arguments are parsed."""
    own = argparse.ArgumentParser.parse_known_args

    def parse_known_args(self, args=None, namespace=None):
        options, unknown = own(self, args, namespace)
        if args is None or args is sys.argv[1:] or list(args) == words:
            raise Parsed(unknown)
        return options, unknown

    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", parse_known_args)
    monkeypatch.setattr(sys, "argv", [path, *words])
    source = compile((REPOSITORY / path).read_text("utf-8"), path, "exec")
    space = {"__name__": "__main__", "__file__": str(REPOSITORY / path)}
    with pytest.raises(Parsed) as parsed:
        exec(source, space)
    (unknown,) = parsed.value.args
    if Path(path).name == "verify_resume.py":  # which hands the others on
        parse_flags(["faceemo.main", *unknown], monkeypatch)
    else:
        assert unknown == []


def test_commands_and_options_within_sentences_exist():
    top, parsers = cli.make_parsers()
    wrong = []
    for line in pages.command_lines():
        program, *words = line.words
        if line.whole or program != "faceemo" or words[0].isupper():
            continue
        parser = top if words[0].startswith("-") else parsers.get(words[0])
        help_text = parser.format_help() if parser else ""
        options = [word.partition("=")[0] for word in words if word.startswith("--")]
        if not help_text or any(option not in help_text for option in options):
            wrong.append(f"{line.page}: {' '.join(line.words)}")
    assert wrong == []


def test_paths_of_scripts_within_sentences_exist():
    lost = [
        f"{line.page}: {path}"
        for line in pages.command_lines()
        for path in line.words
        if path.startswith("scripts/") and not (REPOSITORY / path).is_file()
    ]
    assert lost == []


def test_python_blocks_compile():
    programs = [block for block in pages.blocks() if block.language == "python"]
    assert programs
    for block in programs:
        ast.parse(block.code, block.page)


def test_options_in_tables_and_sentences_exist():
    """Those like `--image-size`; `--config.FIELD` and options of other programs aside."""
    top, parsers = cli.make_parsers()
    known = top.format_help() + "".join(parser.format_help() for parser in parsers.values())
    known += "".join(path.read_text("utf-8") for path in SCRIPTS.rglob("*.py"))
    known += (REPOSITORY / "scripts/test.sh").read_text("utf-8")
    known += (REPOSITORY / "faceemo/main.py").read_text("utf-8")
    lost = {
        f"{page}: {option}"
        for page, text in texts().items()
        if page not in ("CHANGELOG.md", "docs/troubleshooting.md")
        for option in re.findall(r"`(--[a-z][\w-]+)[^`]*`", text)
        if option not in known
    }
    assert lost == set()


def test_no_private_words():
    """Words that only their author knows; some have an ordinary meaning, which is not used."""
    words = re.compile(r"\b(trunk|taught|wanted|settled|looks|told|likewise)\b", re.IGNORECASE)
    pages_read = {page: text for page, text in texts().items() if page != "docs/troubleshooting.md"}
    found = {f"{page}: {word}" for page, text in pages_read.items() for word in words.findall(text)}
    assert found == set()


def test_the_citation_is_valid():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text("utf-8"))
    required = {"cff-version", "message", "title", "authors"}  # of the format's schema
    assert required <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == faceemo.__version__
    assert all(author.keys() & {"name", "family-names"} for author in citation["authors"])


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("[card](../faceemo/inference/builtin/card.md#limits)", "[card](model_card.md#limits)"),
        ("[changes](../CHANGELOG.md)", "[changes](changelog.md)"),
        ("[data](data.md#the-ledger)", "[data](data.md#the-ledger)"),
        ("[fields](../faceemo/config/fields.py)", "fields"),
        ("[site](https://example.org/a.md)", "[site](https://example.org/a.md)"),
        ("![picture](images/a.png)", "![picture](images/a.png)"),
    ],
)
def test_links_of_a_page_are_rewritten_for_the_site(link, expected):
    rewritten = site._LINK.sub(
        lambda found: site.rewrite_link(found[0], found[1], found[2], "docs/a.md", "a.md"), link
    )
    assert rewritten == expected


def test_links_of_a_page_outside_docs_are_rewritten_for_the_site():
    link = "[extend](docs/extend.md)"
    rewritten = site.rewrite_link(link, "extend", "docs/extend.md", "README.md", "contributing.md")
    assert rewritten == "[extend](extend.md)"


def test_the_site_is_built_and_loads_nothing_from_elsewhere(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    html = sorted(tmp_path.rglob("*.html"))
    assert {path.stem for path in pages.PAGES if path.parent.name == "docs"} <= {
        path.stem for path in html
    }
    assert {Path(page).stem for page in site.PAGES} <= {path.stem for path in html}
    loaded = {
        address
        for path in html
        for tag in re.findall(r"<(?:script|img|link|iframe|source)\b[^>]*>", path.read_text())
        for address in re.findall(r'(?:src|href)="?([^" >]+)', tag)
        if not re.search(r'rel="?(?:canonical|prev|next)', tag)
    }
    assert {address for address in loaded if "//" in address} == set()
