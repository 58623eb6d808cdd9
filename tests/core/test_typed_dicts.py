"""`typing.TypedDict` as a payload type, alone and inside other types, on every Python (J2)."""

from __future__ import annotations

from typing import Annotated, Any, List, Literal, NotRequired, Optional, Required, TypedDict, Union  # noqa: UP035

import pytest

from checkmate_queue.core.errors import PayloadError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.payload import PayloadCodec


class Point(TypedDict):
    x: int
    note: NotRequired[str]


class Tree(Point, total=False):
    points: list[Point]
    parent: Tree | None
    root: Required[bool]


@pytest.mark.parametrize(
    ("payload_type", "data"),
    [
        (Point, {"x": 1}),
        (Point, {"x": 1, "note": "here"}),
        (Tree, {"x": 1, "root": True}),
        (Tree, {"x": 1, "root": False, "points": [{"x": 2}], "parent": {"x": 3, "root": True}}),
        (list[Point], [{"x": 1}, {"x": 2}]),
        (List[Point], [{"x": 1}]),  # noqa: UP006
        (tuple[Point, ...], ({"x": 1},)),
        (dict[str, Point], {"a": {"x": 1}}),
        (Point | int, {"x": 1}),
        (Union[Point, int], 7),  # noqa: UP007
        (Optional[Point], None),  # noqa: UP045
        (Annotated[Point, "a note"], {"x": 1}),
        (Literal["a"] | Point, "a"),
    ],
    ids=excerpt,
)
def test_typed_dicts_come_back_equal(payload_type: Any, data: Any) -> None:
    codec: PayloadCodec[Any] = PayloadCodec(payload_type)
    assert codec.decode(codec.encode(data)) == data


@pytest.mark.parametrize(
    ("payload_type", "data"),
    [
        (Point, {}),
        (Point, {"x": "text"}),
        (Tree, {"x": 1}),
        (Tree, {"root": True}),
        (Tree, {"x": 1, "root": True, "points": [{"x": "text"}]}),
        (Tree, {"x": 1, "root": True, "parent": {"x": 1}}),
        (list[Point], [{"x": 1}, {}]),
    ],
    ids=excerpt,
)
def test_what_is_no_such_dict_is_refused(payload_type: Any, data: Any) -> None:
    codec: PayloadCodec[Any] = PayloadCodec(payload_type)
    with pytest.raises(PayloadError):
        codec.encode(data)
