"""From `module:manager` to a manager that is ready to start."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import sysconfig
import traceback
from pathlib import Path
from types import ModuleType

import checkmate_queue
from checkmate_queue import QueueManager
from checkmate_queue.cli.command import CommandError
from checkmate_queue.cli.work.plan import Plan

PACKAGE = f"{Path(checkmate_queue.__file__).parent}{os.sep}"
STANDARD_LIBRARY = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib"))
PACKAGES = frozenset(("site-packages", "dist-packages"))
"""Folders for what was installed, which may lie within the standard library's."""

LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def load_manager(plan: Plan) -> tuple[QueueManager, str]:
    """Import the manager from the current folder or what is installed; raises `CommandError`.

    It is given the plan's URL, if there is one; with it comes the URL that the module names.

    The name may also be of a function that takes nothing and returns a manager.
    """
    module_name, colon, name = plan.target.partition(":")
    if not (module_name and colon and name):
        raise CommandError(f"{plan.target!r} is not MODULE:MANAGER, such as app:manager")
    if module_name.endswith(".py") or "/" in module_name:
        dotted = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise CommandError(f"{module_name!r} is a file; name the module: {dotted}:{name}")
    manager = _named(_imported(module_name), name)
    logging.basicConfig(level=plan.log_level.upper(), format=LOG_FORMAT)
    named = manager.url
    settings = {} if plan.concurrency is None else {"concurrency": plan.concurrency}
    manager.configure(plan.url, **settings)
    _check_consumers(manager, plan)
    return manager, named


def _imported(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise CommandError(f"there is no module {error.name!r} in {here}, or installed") from error
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error


def _broken(name: str, error: BaseException) -> CommandError:
    return CommandError(f"importing {name!r} failed: {described(error)}")


def described(error: BaseException) -> str:
    """What users' code raised, and where."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename.endswith(".py")]
    own = [frame for frame in frames if not _is_ours(frame.filename)]
    where = (
        f" ({own[-1].filename}, line {own[-1].lineno})" if own and not isinstance(error, SyntaxError) else ""
    )
    return f"{type(error).__name__}: {error}".removesuffix(": ") + where


def _is_ours(file: str) -> bool:
    """Whether it is part of this package, or of Python: users look for their mistake in neither."""
    if PACKAGES.intersection(Path(file).parts):
        return file.startswith(PACKAGE)
    return file.startswith((PACKAGE, *STANDARD_LIBRARY))


def _named(module: ModuleType, name: str) -> QueueManager:
    found: object = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            managers = [key for key, value in vars(module).items() if isinstance(value, QueueManager)]
            hint = f"its managers are: {', '.join(managers)}" if managers else "it has no QueueManager"
            raise CommandError(f"{module.__name__!r} has no {name!r}; {hint}") from None
    if callable(found) and not isinstance(found, QueueManager):
        try:
            found = found()
        except Exception as error:
            raise CommandError(f"calling {module.__name__}:{name} failed: {described(error)}") from error
    if not isinstance(found, QueueManager):
        raise CommandError(f"{module.__name__}:{name} is no QueueManager, but a {type(found).__name__}")
    return found


def _check_consumers(manager: QueueManager, plan: Plan) -> None:
    """Consumers may also be started by the manager's lifespan; then there is nothing to see yet."""
    declared = {queue.name for queue in manager.get_queues() if queue.declared_groups}
    for name in plan.queues or ():
        if name not in declared:
            known = ", ".join(sorted(declared)) or "none"
            raise CommandError(f"{plan.target} declares no consumer of queue {name!r}; it does of: {known}")


def check_consuming(manager: QueueManager, plan: Plan) -> None:
    """Raise `CommandError` where the started manager consumes nothing."""
    if not any(queue.get_consumers() for queue in manager.get_queues()):
        raise CommandError(
            f"{plan.target} has no consumer; declare one with @queue.consumer('group'), or in its lifespan"
        )
