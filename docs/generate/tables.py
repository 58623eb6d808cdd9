"""Tables that follow from the code: settings, events, errors, transitions."""

from __future__ import annotations

import inspect
import types
import typing
from typing import Any

from pydantic.fields import FieldInfo

import checkmate_queue
from checkmate_queue import BackendConfig, Event, QueueError
from checkmate_queue.backends import discover
from checkmate_queue.core.lifecycle import TRANSITIONS

DAY = 86_400


def settings_tables() -> dict[str, str]:
    """One table of what all backends have, and one for each plugin of what differs there."""
    common = BackendConfig.model_fields
    tables = {"common_settings": _settings(common)}
    for plugin in discover().get_plugins():
        fields = plugin.config_schema.model_fields
        own = {name: field for name, field in fields.items() if _differs(field, common.get(name))}
        tables[f"{plugin.id}_settings"] = _settings(own)
    return tables


def event_table() -> str:
    """The events with their fields."""
    rows = ["| event | fields besides `queue` | when |", "| --- | --- | --- |"]
    for event in _public(Event):
        fields = [name for name in typing.get_type_hints(event) if name != "queue"]
        rows.append(f"| `{event.__name__}` | {', '.join(f'`{name}`' for name in fields)} | {_said(event)} |")
    return _lines(rows)


def error_table() -> str:
    """The errors with what they say by themselves."""
    rows = ["| error | means |", "| --- | --- |"]
    return _lines([*rows, *(f"| `{error.__name__}` | {_said(error)} |" for error in _public(QueueError))])


def transition_table() -> str:
    """The state machine, line by line."""
    rows = ["| from | when | to |", "| --- | --- | --- |"]
    return _lines([*rows, *(f"| {each.source} | {each.event} | {each.target} |" for each in TRANSITIONS)])


def _public(root: type[Any]) -> list[type[Any]]:
    named = (getattr(checkmate_queue, name) for name in checkmate_queue.__all__)
    return [each for each in named if inspect.isclass(each) and issubclass(each, root) and each is not root]


def _said(documented: type[Any]) -> str:
    return " ".join(inspect.cleandoc(documented.__doc__ or "").split())


def _settings(fields: dict[str, FieldInfo]) -> str:
    rows = ["| setting | takes | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in fields.items():
        rows.append(
            f"| `{field.alias or name}` | {_takes(field)} | {_default(name, field)} | {field.description} |"
        )
    return _lines(rows)


def _differs(field: FieldInfo, common: FieldInfo | None) -> bool:
    return common is None or (field.default, field.metadata) != (common.default, common.metadata)


def _takes(field: FieldInfo) -> str:
    bounds = _bounds(field)
    if typing.get_origin(field.annotation) is typing.Literal:
        return " or ".join(f"`{value}`" for value in typing.get_args(field.annotation))
    if typing.get_origin(field.annotation) in (types.UnionType, typing.Union):
        kinds = [each.__name__ for each in typing.get_args(field.annotation) if each is not type(None)]
        return f"{' or '.join(kinds)}{bounds}, or none"
    assert isinstance(field.annotation, type)
    return f"{field.annotation.__name__}{bounds}"


def _bounds(field: FieldInfo) -> str:
    said = []
    for limit, word in (("gt", "above"), ("ge", "from"), ("le", "to")):
        for each in field.metadata:
            if (value := getattr(each, limit, None)) is not None:
                said.append(f"{word} {value:,}")
    return f" {' '.join(said)}" if said else ""


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value is None:
        return "none"
    if not isinstance(value, int | float):
        return f"`{value}`"
    days = f" ({value / DAY:g} days)" if name.endswith("_seconds") and value >= DAY else ""
    return f"{value:,}".removesuffix(".0") + days


def _lines(rows: list[str]) -> str:
    return "\n".join(rows) + "\n"
