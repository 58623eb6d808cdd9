"""Which tests a store must pass: those whose verbs it has."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from checkmate_queue.core.model import StoreLimits
from checkmate_queue.moving import Moving
from checkmate_queue.store import Store

Test = TypeVar("Test", bound=Callable[..., Awaitable[None]])
ThemeClass = TypeVar("ThemeClass", bound="type[Theme]")

ALL_VERBS = frozenset(
    name for part in Store.__mro__ for name in vars(part) if not name.startswith("_") and part is not object
)
"""Every verb of the seam."""

MOVING_VERBS = frozenset(name for name in vars(Moving) if not name.startswith("_"))
"""The verbs of a store that can be switched to and from."""

CORE_VERBS = frozenset(
    (
        *("open", "close", "ping", "register", "listen", "add"),
        *("join", "leave", "exchange", "heartbeat", "tick"),
        *("put_schedule", "fire", "fence"),
    )
)
"""The verbs that every test may use without saying so."""

DEFAULT_LIMITS = StoreLimits()


def needs(*verbs: str) -> Callable[[Test], Test]:
    """Mark a test as using these verbs besides the core ones: stores without them don't get it."""
    extra = _known(verbs)

    def mark(test: Test) -> Test:
        vars(test)["needs"] = extra
        return test

    return mark


def all_need(*verbs: str) -> Callable[[ThemeClass], ThemeClass]:
    """Mark every test of a theme as using these verbs, besides what it says itself."""
    extra = _known(verbs)

    def mark(theme: ThemeClass) -> ThemeClass:
        for check in checks_of(theme):
            vars(check.function)["needs"] = check.needs | extra
        return theme

    return mark


def _known(verbs: tuple[str, ...]) -> frozenset[str]:
    unknown = frozenset(verbs) - ALL_VERBS - MOVING_VERBS
    if unknown:
        raise ValueError(f"not verbs of a store: {', '.join(sorted(unknown))}")
    return frozenset(verbs)


def limits(**settings: int) -> Callable[[Test], Test]:
    """Give a test a store with these `StoreLimits`."""
    chosen = StoreLimits(**settings)

    def mark(test: Test) -> Test:
        vars(test)["limits"] = chosen
        return test

    return mark


class Theme:
    """A class of tests; a subclass keeps those whose verbs are among `verbs`."""

    verbs: ClassVar[frozenset[str]] = ALL_VERBS

    def __init_subclass__(cls, *, verbs: frozenset[str] | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if verbs is None:
            return
        cls.verbs = verbs
        for check in checks_of(cls):
            if not check.needs <= verbs:
                setattr(cls, check.name, None)


@dataclass(frozen=True, slots=True)
class Check:
    """One test of the suite with what it asks for."""

    theme: type[Theme]
    name: str
    function: Callable[..., Awaitable[None]]

    @property
    def needs(self) -> frozenset[str]:
        """The verbs it uses."""
        extra: frozenset[str] = vars(self.function).get("needs", frozenset())
        return CORE_VERBS | extra

    @property
    def rules(self) -> frozenset[str]:
        """The rules of the contract that it proves, as its docstring begins."""
        named, _, _ = (self.function.__doc__ or "").partition(":")
        return frozenset(named.split(", "))

    @property
    def limits(self) -> StoreLimits:
        """The limits of the store it wants."""
        return limits_of(self.function)


def limits_of(test: Callable[..., Any]) -> StoreLimits:
    """The limits of the store that a test wants."""
    chosen: StoreLimits = vars(test).get("limits", DEFAULT_LIMITS)
    return chosen


def checks_of(theme: type[Theme]) -> Iterator[Check]:
    """The tests of a theme, in the order of their names."""
    for name, function in inspect.getmembers(theme, inspect.iscoroutinefunction):
        if name.startswith("test_"):
            yield Check(theme, name, function)
