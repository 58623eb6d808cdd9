"""`checkmate-queue doctor`: what is wrong, or will be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from checkmate_queue import (
    BackendConfig,
    BackendUnavailableError,
    ConfigError,
    GroupDetails,
    QueueError,
    QueueManager,
    QueueStats,
    WorkerDetails,
    __version__,
)
from checkmate_queue.cli.command import explain, one_line
from checkmate_queue.cli.options import Json, Url
from checkmate_queue.cli.output import WAITING, counted, show, show_json, span, table
from checkmate_queue.cli.session import addressed, look

CLOCK_TOLERANCE_SECONDS = 2.0
SHORT_LEASE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; only a problem makes the exit code 1."""

    check: str
    status: Literal["ok", "warning", "problem"]
    message: str


@dataclass(frozen=True, slots=True)
class Patient:
    """A queue as the checks see it."""

    name: str
    paused: bool
    stats: QueueStats
    groups: list[GroupDetails]
    workers: list[WorkerDetails]


def doctor(
    url: Url,
    max_age: Annotated[float, typer.Option(help="Seconds that a delivery may wait for a worker.")] = 300,
    as_json: Json = False,
) -> None:
    """Look for what is wrong, or will be.

    Connection, schema, permissions, clock, the settings in the URL and of the server, and of each queue its
    age, groups and workers.

    The exit code is 1 if there is a problem; a warning alone leaves it at 0.
    """
    findings = _diagnose(url, max_age)
    if as_json:
        show_json(findings)
    else:
        show(table(("check", "", "found"), ([f.check, f.status, f.message] for f in findings), wraps=True))
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(1)


def _diagnose(url: str, max_age: float) -> list[Finding]:
    try:
        plugin, config = addressed(url)
    except QueueError as error:
        return [_problem("settings", explain(error))]
    dangers = [*_dangers(config), *plugin.dangers(config)]
    settings = _settings(dangers)
    if absence := plugin.absence(config):
        return [_problem("connection", absence), *settings]
    try:
        return look(url, lambda manager: _examine(manager, max_age, dangers))
    except ConfigError as error:
        return [_problem("storage", explain(error)), *settings]
    except QueueError as error:
        return [_problem("connection", explain(error)), *settings]


async def _examine(manager: QueueManager, max_age: float, dangers: list[str]) -> list[Finding]:
    settings = _settings(dangers)
    findings = [Finding("schema", "ok", f"is one that this version, {__version__}, reads and writes")]
    try:
        probe = await manager.probe_backend()
    except BackendUnavailableError as error:
        findings.append(_problem("permissions", explain(error)))
    else:
        milliseconds = probe.round_trip_seconds * 1000
        plugin = manager.get_active_plugin()
        findings.insert(0, Finding("connection", "ok", f"{plugin} answered after {milliseconds:.1f} ms"))
        findings.append(Finding("permissions", "ok", "the storage can be read and written"))
        findings.append(_clock(probe.clock_offset_seconds))
        settings = _settings([*dangers, *probe.dangers])
    findings += settings
    patients = [patient async for patient in _patients(manager)]
    for patient in patients:
        findings += [*_age(patient, max_age), *_groups(patient), *_workers(patient)]
    if not any(f.check not in ("connection", "schema", "permissions", "clock", "settings") for f in findings):
        findings.append(Finding("queues", "ok", f"{len(patients)} looked at, all well"))
    return findings


async def _patients(manager: QueueManager) -> Any:
    for name, stats in (await manager.get_all_stats()).items():
        queue = manager.get_queue(name)
        yield Patient(
            name, await queue.is_paused(), stats, await queue.list_groups(), await queue.list_workers()
        )


def _clock(offset: float) -> Finding:
    if abs(offset) <= CLOCK_TOLERANCE_SECONDS:
        return Finding("clock", "ok", f"the backend's differs from this machine's by {abs(offset):.2f} s")
    direction = "ahead of" if offset > 0 else "behind"
    return Finding(
        "clock",
        "warning",
        f"the backend's is {span(abs(offset))} {direction} this machine's; jobs go by the backend's",
    )


def _settings(dangers: list[str]) -> list[Finding]:
    return [Finding("settings", "warning", danger) for danger in dangers] or [
        Finding("settings", "ok", "nothing dangerous")
    ]


def _dangers(config: BackendConfig) -> Iterator[str]:
    multiplier = getattr(config, "delay_multiplier", 1)
    if multiplier != 1:
        yield f"delay_multiplier is {multiplier:g}: delays and intervals are not as written"
    if config.lease_seconds < SHORT_LEASE_SECONDS:
        yield f"lease_seconds is {config.lease_seconds:g}: a short hiccup makes jobs run twice"
    if config.max_stalls == 1:
        yield "max_stalls is 1: a job fails for good when its worker dies once"
    if not config.failed_retention_count:
        yield "failed_retention_count is 0: nothing that fails is kept"
    if not config.patience_seconds:
        yield "patience_seconds is 0: the shortest outage of the backend raises an error"


def _age(patient: Patient, max_age: float) -> Iterator[Finding]:
    where = f"queue {patient.name}"
    oldest = patient.stats.oldest_pending_seconds
    if oldest is not None and oldest > max_age:
        why = ", and it is paused" if patient.paused else ""
        yield Finding(where, "problem", f"a delivery has been waiting for {span(oldest)}{why}")
    elif patient.paused:
        yield Finding(where, "warning", "is paused")
    if patient.stats.unclaimed:
        yield Finding(
            where,
            "warning",
            f"{counted(patient.stats.unclaimed, 'job waits', 'jobs wait')} for a first consumer group",
        )


def _groups(patient: Patient) -> Iterator[Finding]:
    attended = any(group.workers for group in patient.groups)
    for group in patient.groups:
        if group.workers or group.ephemeral:
            continue
        waiting = patient.stats.groups[group.name].pending if group.name in patient.stats.groups else 0
        waits = counted(waiting, *WAITING)
        where = f"group {patient.name}/{group.name}"
        if attended:
            yield Finding(
                where,
                "problem",
                f"has no worker while other groups have; {waits}, and it will be dropped",
            )
        elif waiting:
            yield Finding(where, "problem", f"has no worker, and {waits}")


def _workers(patient: Patient) -> Iterator[Finding]:
    if not patient.workers and patient.groups:
        yield Finding(f"queue {patient.name}", "warning", "has no worker at this moment")


def _problem(check: str, message: str) -> Finding:
    return Finding(check, "problem", one_line(message))
