"""MkDocs' hook of the documentation site: pages that live beside what they are about, and links out of docs/.

A link that leads out of `docs/` stays as it works in the repository. On the site it leads to the page that shows the
file, else to a copy of the file; a directory is only named. A link to nothing ends the build. Pages with diagrams carry
what draws them, which `make docs` has put below `.local/`; without it their theme would fetch it from another host.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PAGES: Final = {
    "crds/README.md": "reference.md",
    "deploy/README.md": "operations.md",
    "deploy/SECURITY.md": "security.md",
    "tests/bench/README.md": "benchmarks.md",
    "tests/bench/peer.md": "peer.md",
}
"""Pages of the site that are elsewhere in the repository."""
DRAWING: Final = "assets/mermaid.min.js"
_DRAWING_SOURCE: Final = REPOSITORY / ".local" / "mermaid.min.js"
_SOURCES: Final = {page: source for source, page in PAGES.items()}
_LINK: Final = re.compile(r"\[([^\[\]]*)\]\(([^()\s:#]+)(#[^()\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are elsewhere."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(REPOSITORY / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, DRAWING, content=_DRAWING_SOURCE.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turns links out of `docs/` into links of the site."""
    here: str = page.file.src_uri
    source = _SOURCES.get(here, f"docs/{here}")

    def turned(link: re.Match[str]) -> str:
        text, target, anchor = link.group(1), link.group(2), link.group(3) or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if not (REPOSITORY / path).exists():
            raise PluginError(f"{source}: a link leads to nothing: {target}")
        if (REPOSITORY / path).is_dir():
            return text
        return f"[{text}]({posixpath.relpath(_on_site(path, config, files), posixpath.dirname(here) or '.')}{anchor})"

    return _LINK.sub(turned, markdown)


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Lets a page with diagrams load what draws them before the theme looks for it."""
    if '<pre class="mermaid">' not in output:
        return output
    script = posixpath.relpath(DRAWING, posixpath.dirname(page.file.src_uri) or ".")
    return output.replace("</head>", f'<script src="{script}"></script></head>', 1)


def _on_site(path: str, config: Any, files: Any) -> str:
    """Where the site shows a file of the repository; a file that is no page is copied."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    copy = f"repository/{path}" + (".txt" if path.endswith(".md") else "")
    if files.get_file_from_path(copy) is None:
        files.append(File.generated(config, copy, content=(REPOSITORY / path).read_bytes()))
    return copy
