"""`typing.TypedDict` on Python 3.11, where pydantic takes only that of `typing_extensions`."""

from __future__ import annotations

import functools
import operator
import sys
import types
import typing
from typing import Annotated, Any, get_args, get_origin

import typing_extensions


def with_known_typed_dicts(payload_type: Any) -> Any:
    """The same type with a twin that pydantic knows for each `typing.TypedDict` in it.

    Twins are made for the type itself, for what it is composed of (unions, lists, dicts …) and for the
    fields of a TypedDict; not for fields of dataclasses and models, which pydantic reads by itself.
    """
    return payload_type if sys.version_info >= (3, 12) else _translate(payload_type, {})


def _translate(kind: Any, twins: dict[Any, Any]) -> Any:
    if typing.is_typeddict(kind) and type(kind).__module__ == "typing":
        return twins.get(kind) or _twin(kind, twins)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is typing.Literal or not arguments:
        return kind
    if origin is Annotated:
        return Annotated[(_translate(arguments[0], twins), *kind.__metadata__)]
    translated = tuple(_translate(argument, twins) for argument in arguments)
    if translated == arguments:
        return kind
    if isinstance(kind, types.UnionType):
        return functools.reduce(operator.or_, translated)
    return (
        kind.copy_with(translated) if hasattr(kind, "copy_with") else types.GenericAlias(origin, translated)
    )


def _twin(kind: Any, twins: dict[Any, Any]) -> Any:
    make: Any = typing_extensions.TypedDict
    twin = make(kind.__name__, {})
    # It is known before its fields are looked at, since these may name it again.
    twins[kind] = twin
    hints = typing.get_type_hints(kind, include_extras=True)
    twin.__annotations__ = {name: _translate(hint, twins) for name, hint in hints.items()}
    for name in (
        "__required_keys__",
        "__optional_keys__",
        "__total__",
        "__module__",
        "__qualname__",
        "__doc__",
    ):
        setattr(twin, name, getattr(kind, name))
    if hasattr(kind, "__pydantic_config__"):
        twin.__pydantic_config__ = kind.__pydantic_config__
    return twin
