"""The pages of the documentation, and the blocks of code in them.

What a block is follows from its language and its title:

* `python` without a title runs where it stands: the blocks of a page share one namespace and one event loop,
  may `await`, and run in order in an empty folder.
* `python title="worker.py"` is that file in the folder. So is any other block whose title is a file's name.
* `python title="Celery"`, a title that is no file's name, is another library's code: it must be Python.
* `text title="Output"` is what the block before it prints.
* `console` is a shell: `python FILE` and `pytest …` run in the folder and print what stands below them.
* `<!-- run` … `-->` is a `python` block that readers don't see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(
    r"^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]*)\")?\n(?P<text>.*?)^```$"
    r"|^<!-- run\n(?P<hidden>.*?)^-->$",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"[\w./-]+\.\w+")


@dataclass(frozen=True, slots=True)
class Block:
    """One block of code; `line` is that of its first line in the page."""

    page: Path
    line: int
    language: str
    title: str
    text: str
    hidden: bool = False

    @property
    def is_file(self) -> bool:
        return bool(_FILE.fullmatch(self.title))

    @property
    def runs(self) -> bool:
        return self.language == "python" and not self.title

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """All pages but the records of decisions, which hold no code to run."""
    return sorted(page for page in DOCS.rglob("*.md") if "decisions" not in page.parts)


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page in order."""
    text = page.read_text()
    found = []
    for match in _FENCE.finditer(text):
        hidden = match["hidden"] is not None
        start = match.start("hidden") if hidden else match.start("text")
        line = text.count("\n", 0, start) + 1
        if hidden:
            found.append(Block(page, line, "python", "", match["hidden"], hidden=True))
        else:
            found.append(Block(page, line, match["language"], match["title"] or "", match["text"]))
    return found


def commands_of(block: Block) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output that stands below it."""
    found: list[tuple[str, str]] = []
    for line in block.text.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:].strip(), ""))
        else:
            command, output = found[-1]
            found[-1] = command, output + line
    return found
