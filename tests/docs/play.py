"""Plays the blocks of one page in the current folder, in order: `python play.py PAGE`."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import subprocess
import sys
import types
from pathlib import Path

from checkmate_queue import QueueManager
from tests.docs.pages import Block, blocks_of, commands_of


async def play(page: Path) -> None:
    """Run a page to its end; a difference between what is said and what is printed raises."""
    module = types.ModuleType("page")
    sys.modules["page"] = module
    blocks = blocks_of(page)
    for block in blocks:
        if block.is_file:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.text)
    printed = ""
    try:
        for block in blocks:
            if block.title == "Output":
                expect(block, block.text, printed)
            elif block.runs:
                output = await run(block, module)
                printed = printed if block.hidden else output
            elif block.language == "console":
                await asyncio.to_thread(run_commands, block)
    finally:
        for value in list(vars(module).values()):
            if isinstance(value, QueueManager):
                await value.shutdown(timeout=5)


async def run(block: Block, module: types.ModuleType) -> str:
    """Run a block in the page's namespace, and return what it printed."""
    source = "\n" * (block.line - 1) + block.text
    code = compile(source, block.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        result = types.FunctionType(code, vars(module))()
        if inspect.isawaitable(result):
            await result
    return printed.getvalue()


def run_commands(block: Block) -> None:
    """Run the commands of a console block that can run here."""
    for command, output in commands_of(block):
        program, *arguments = command.split()
        if program != "pytest" and not (program == "python" and arguments[0].endswith(".py")):
            continue
        module = ["-m", "pytest", "-p", "no:cacheprovider"] if program == "pytest" else []
        done = subprocess.run(
            [sys.executable, *module, *arguments], capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0, f"{block}: {command}\n{done.stdout}\n{done.stderr}"
        if program == "python":
            expect(block, output, done.stdout)


def expect(block: Block, said: str, printed: str) -> None:
    """Raise where the page says something else than was printed."""
    assert said.strip() == printed.strip(), (
        f"{block}: the page says\n{said}\nbut what is printed is\n{printed}"
    )


if __name__ == "__main__":
    asyncio.run(play(Path(sys.argv[1])))
