"""Hooks of MkDocs: pages from outside docs/, and links that lead out of docs/.

In the repository pages link to files by relative paths. The site contains only pages, so a link to
one of `PAGES` becomes a link to that page, and a link to any other file becomes its text.
"""

import os.path
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# Page of the site: its file in the repository.
PAGES = {
    "model_card.md": "faceemo/inference/builtin/card.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "attribution.md": "ATTRIBUTION.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages from outside docs/."""
    for uri, path in PAGES.items():
        content = Path(config.docs_dir, os.path.pardir, path).read_text("utf-8")
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrites the links of a page for the site."""
    uri = page.file.src_uri
    source = PAGES.get(uri, f"docs/{uri}")
    return _LINK.sub(lambda link: rewrite_link(link[0], link[1], link[2], source, uri), markdown)


def rewrite_link(link: str, text: str, target: str, source: str, uri: str) -> str:
    """Returns a link as the site needs it.

    Args:
        link: The whole link, '[text](target)'.
        text: Its text.
        target: Its target: an address, an anchor, or a path relative to the file.
        source: The file in the repository that has the link.
        uri: The page of the site that shows the file, relative to docs/.
    """
    path, hash_mark, anchor = target.partition("#")
    if not path or "://" in path or path.startswith("mailto:"):
        return link
    found = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    pages = {file: name for name, file in PAGES.items()}
    if found in pages:
        name = pages[found]
    elif found.startswith("docs/"):
        name = found.removeprefix("docs/")
    else:
        return text
    relative = posixpath.relpath(name, posixpath.dirname(uri) or ".")
    return f"[{text}]({relative}{hash_mark}{anchor})"
