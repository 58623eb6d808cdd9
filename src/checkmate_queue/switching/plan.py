"""The steps of a switch, as a pure function of the document: each can be repeated, by whichever process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, TypeAlias, assert_never

from checkmate_queue.core.errors import BackendSwitchError
from checkmate_queue.core.model import QueueStats
from checkmate_queue.switching.document import Document, StoredConfig, Undertaking

Step: TypeAlias = Literal["copy", "finish", "undo"]
"""What is to be done next: fence and copy, empty the old backend, or open it again."""


def begin(document: Document, target: StoredConfig, switch_id: str, owner: str, fence: str) -> Document:
    """A switch to `target` is under way; raises `BackendSwitchError` where one is already.

    `fence` is what its fences say.
    """
    check_idle(document)
    return replace(document, phase="moving", undertaking=Undertaking(switch_id, owner, 0, target, fence))


def check_idle(document: Document) -> None:
    """Raise `BackendSwitchError` where a switch is under way."""
    if document.undertaking is not None:
        raise BackendSwitchError(
            f"A switch to {_where(document)!r} is under way already; wait until it has ended"
        )


def next_step(document: Document) -> Step | None:
    """What the phase asks for."""
    match document.phase:
        case "active":
            return None
        case "moving":
            return "copy"
        case "clearing":
            return "finish"
        case "undoing":
            return "undo"
        case _:
            assert_never(document.phase)


def beat(document: Document, switch_id: str, owner: str) -> Document:
    """The owner is still at work; raises `BackendSwitchError` where it is the owner no more."""
    return replace(document, undertaking=_advanced(owned(document, switch_id, owner)))


def flip(document: Document, switch_id: str, owner: str) -> Document:
    """Everything has been copied: the new backend is the active one. From here on there is no way back."""
    under = owned(document, switch_id, owner)
    if document.phase != "moving":
        return document
    return replace(
        document,
        version=document.version + 1,
        moves=document.moves + 1,
        active=under.other,
        phase="clearing",
        undertaking=replace(_advanced(under), other=document.active),
    )


def give_up(document: Document, switch_id: str, owner: str) -> Document:
    """The copying failed: the old backend stays the active one. After the flip there is no giving up."""
    under = owned(document, switch_id, owner)
    if document.phase != "moving":
        return document
    return replace(document, phase="undoing", undertaking=_advanced(under))


def take_over(document: Document, owner: str) -> Document:
    """The owner died. A copy is undone, since its target stays closed; what follows the flip is finished."""
    assert document.undertaking is not None
    phase = "undoing" if document.phase == "moving" else document.phase
    return replace(document, phase=phase, undertaking=replace(_advanced(document.undertaking), owner=owner))


def end(document: Document, switch_id: str) -> Document:
    """Nothing is under way any more; the config of the other backend is kept for another time."""
    under = document.undertaking
    if under is None or under.id != switch_id:
        return document
    configs = {**document.configs, under.other.plugin: under.other}
    configs.pop(document.active.plugin, None)
    return replace(document, phase="active", undertaking=None, configs=configs)


def exchange_config(document: Document, config: StoredConfig) -> Document:
    """Another config for the same storage: nothing moves (B1)."""
    if document.undertaking is not None:
        raise BackendSwitchError(
            f"A switch to {_where(document)!r} is under way; change the config when it has ended"
        )
    return replace(document, version=document.version + 1, active=config)


def owned(document: Document, switch_id: str, owner: str) -> Undertaking:
    """The undertaking; raises `BackendSwitchError` where another process has taken it over."""
    under = document.undertaking
    if under is None or (under.id, under.owner) != (switch_id, owner):
        raise BackendSwitchError("Another process has taken this switch over, and ended it")
    return under


def about_jobs(queue: QueueStats) -> int:
    """About how many jobs a queue holds; its numbers count deliveries, so those of its fullest group."""
    groups = queue.groups.values()
    fullest = max((each.pending + each.delayed + each.processing for each in groups), default=0)
    return queue.delayed - sum(each.delayed for each in groups) + queue.unclaimed + fullest


def check_capacity(stats: Mapping[str, QueueStats], most: int | None) -> None:
    """Raise `BackendSwitchError` where a queue would be too large for the new backend (B1)."""
    for name, queue in stats.items():
        fullest = max((group.pending for group in queue.groups.values()), default=0)
        delayed = queue.delayed - sum(group.delayed for group in queue.groups.values())
        size = delayed + queue.unclaimed + fullest
        if most is not None and size > most:
            raise BackendSwitchError(
                f"Queue {name!r} holds {size} jobs, the new backend's max_queue_size is {most}; "
                "raise it, or let the queue drain first"
            )


def _advanced(under: Undertaking) -> Undertaking:
    return replace(under, beat=under.beat + 1)


def _where(document: Document) -> str:
    assert document.undertaking is not None
    clearing = document.phase == "clearing"
    return document.active.plugin if clearing else document.undertaking.other.plugin
