"""What mkdocs is told beside mkdocs.yml: pages of the site that lie outside of docs/, and where links to them lead.

The links in the repository stay as they are, so that they work in a checkout as well.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "templates/README.md": "templates.md",
    "benchmarks/results/README.md": "benchmarks.md",
}
"""Path of a page in the repository -> its path on the site."""

FOLDERS = {"templates/": "templates.md"}
"""Path of a folder that a page links to -> the page of the site about it."""

ROOT = Path(__file__).parents[1]
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie outside of docs/."""
    for source, page in OUTSIDE.items():
        text = with_links((ROOT / source).read_text(encoding="utf-8"), posixpath.dirname(source))
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Let the links of a page in docs/ lead to pages of the site."""
    text = markdown if page.file.src_uri in OUTSIDE.values() else with_links(markdown, "docs")
    return "\n".join(_cells(line) if line.startswith("|") else line for line in text.split("\n"))


def _cells(row: str) -> str:
    """Return a row of a table with bars in its code as they are: GitHub wants them escaped, mkdocs shows the escape."""
    return _CODE.sub(lambda code: code[0].replace("\\|", "|"), row)


def with_links(markdown: str, folder: str) -> str:
    """Return the text of a page with links to pages of the site.

    Args:
        markdown: text of the page.
        folder: that the page lies in, in the repository.
    """

    def replaced(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, link[1]))
        path += "/" if link[1].endswith("/") else ""
        goal = OUTSIDE.get(path) or FOLDERS.get(path) or posixpath.relpath(path, "docs")
        return f"]({goal}{link[2] or ''})"

    return _LINK.sub(replaced, markdown)
