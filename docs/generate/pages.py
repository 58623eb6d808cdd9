"""Which files hold generated text, and what belongs there."""

from __future__ import annotations

from pathlib import Path

from docs.generate.command_line import command_line
from docs.generate.diagram import diagram
from docs.generate.tables import error_table, event_table, settings_tables, transition_table

DOCS = Path(__file__).parents[1]
END = "<!-- end -->\n"


def generated() -> dict[Path, str]:
    """Every file with generated text, as it should be."""
    return {
        DOCS / "assets" / "lifecycle.svg": diagram(),
        DOCS / "reference" / "cli.md": command_line(),
        **_page("concepts/lifecycle.md", transitions=transition_table()),
        **_page("reference/settings.md", **settings_tables()),
        **_page("reference/events.md", events=event_table()),
        **_page("reference/errors.md", errors=error_table()),
    }


def outdated() -> list[Path]:
    """The files that are not as they should be."""
    return [path for path, text in generated().items() if not path.exists() or path.read_text() != text]


def _page(name: str, **parts: str) -> dict[Path, str]:
    path = DOCS / name
    text = path.read_text()
    for part, content in parts.items():
        before, begin, rest = text.partition(f"<!-- generated: {part.replace('_', ' ')} -->\n")
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise ValueError(f"{path} has no place for {part!r}")
        text = f"{before}{begin}\n{content}\n{end}{after}"
    return {path: text}
