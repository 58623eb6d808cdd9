"""Payloads on their way to JSON and back (J2, X3, U1, and R4's comparison of data)."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, computed_field
from typing_extensions import TypedDict

from checkmate_queue.core.errors import ConfigError, PayloadError
from checkmate_queue.core.excerpt import excerpt
from checkmate_queue.core.payload import RECORD_FORMAT, PayloadCodec, canonical_json, check_format

PLAIN: PayloadCodec[Any] = PayloadCodec()


class NoJson:
    """What no JSON can say; its repr is the same in every process, for the sake of test ids."""

    def __repr__(self) -> str:
        return "NoJson()"


NO_JSON = NoJson()


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    A = "a"


@dataclass
class HealthCheck:
    check_id: str
    system_id: str
    timeout: float = 5.0
    tags: list[str] = field(default_factory=list)


@dataclass
class Other:
    check_id: str
    system_id: str
    timeout: float = 5.0
    tags: list[str] = field(default_factory=list)


@dataclass
class Movement:
    x: int
    y: int


@dataclass
class AliasedItem:
    first: Annotated[int, Field(alias="one")]


@dataclass(frozen=True, slots=True)
class Loose:
    value: Any


@dataclass(eq=False)
class Identity:
    value: int


@dataclass
class Special(HealthCheck):
    extra: int = 0


class Point(NamedTuple):
    x: int
    y: int


class Movie(TypedDict):
    name: str
    year: int


class Model(BaseModel):
    name: str
    when: datetime | None = None
    _note: str = PrivateAttr(default="")


class Aliased(BaseModel):
    model_config = ConfigDict(extra="forbid")

    first: int = Field(alias="second")
    second: int = Field(validation_alias="third", serialization_alias="fourth")

    @computed_field
    def total(self) -> int:
        return self.first + self.second


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    name: str


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str


class Login(BaseModel):
    user: str
    password: SecretStr


class Tree(BaseModel):
    children: list[Tree] = []


def nested(depth: int, wrap: Callable[[Any], Any] = lambda inner: [inner]) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)
    return value


def identical(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(identical(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other)


# -- without a payload type ----------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**60), 10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_plain_values_come_back_identical(data: Any) -> None:
    raw = PLAIN.encode(data)
    assert identical(PLAIN.decode(raw), data)
    assert identical(json.loads(raw), data)


@pytest.mark.parametrize(
    "data",
    [
        10**4299,
        -(10**4299),
        2**64,
        -0.0,
        5e-324,
        1.7976931348623157e308,
        0.1 + 0.2,
        1e22,
        "\x00\u2028😀",
        {"": []},
    ],
    ids=excerpt,
)
def test_extreme_plain_values_come_back_identical(data: Any) -> None:
    assert identical(PLAIN.decode(PLAIN.encode(data)), data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": [1, (2, 3)]}, r"Payload\['a'\]\[1\] is \(2, 3\) of type tuple; without a payload type"),
        ({"a": {1: 2}}, r"Payload\['a'\] is a dict with the key 1 of type int; keys must be str"),
        ({None: 1}, r"key None of type NoneType"),
        ({Word.A: 1}, r"key <Word.A: 'a'> of type Word"),
        ({1, 2}, r"of type set"),
        (b"abc", r"of type bytes"),
        (datetime(2026, 1, 1, tzinfo=UTC), r"of type datetime"),
        ([Level.LOW], r"Payload\[0\] is <Level.LOW: 1> of type Level"),
        (Word.A, r"of type Word"),
        (OrderedDict(a=1), r"of type OrderedDict"),
        (defaultdict(int), r"of type defaultdict"),
        (Decimal(1), r"of type Decimal"),
        (Point(1, 2), r"of type Point"),
        (HealthCheck("c", "s"), r"of type HealthCheck"),
        ([1.0, math.nan], r"Payload\[1\] is nan; a number must be finite"),
        ({"x": -math.inf}, r"Payload\['x'\] is -inf; a number must be finite"),
        (["ok", "\ud800"], r"Payload\[1\] is '\\ud800'; text must not have lone surrogates"),
        ({"\udfff": 1}, r"key '\\udfff'; a key must not have lone surrogates"),
        ([10**4300], r"Payload\[0\] is <int of 14285 bits>; an int must have at most 4,300 digits"),
        ([-(10**4300)], r"at most 4,300 digits"),
        (NO_JSON, r"of type NoJson"),
    ],
    ids=excerpt,
)
def test_what_is_no_exact_json_is_refused_with_its_place(data: Any, message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        PLAIN.encode(data)


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"k": inner}], ids=["list", "dict"])
def test_what_is_nested_as_deep_as_allowed_comes_back(wrap: Callable[[Any], Any]) -> None:
    deepest = nested(200, wrap)
    assert PLAIN.decode(PLAIN.encode(deepest)) == deepest
    for depth in (201, 300, 100_000):
        with pytest.raises(PayloadError, match=r"is nested more than 200 levels deep, or contains itself"):
            PLAIN.encode(nested(depth, wrap))


def test_what_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    ring: dict[str, Any] = {"a": {}}
    ring["a"]["b"] = ring
    for data in (loop, ring):
        with pytest.raises(PayloadError, match="contains itself"):
            PLAIN.encode(data)


def test_what_unfolds_without_end_is_refused_soon() -> None:
    bomb: list[Any] = ["x"]
    for _ in range(100):
        bomb = [bomb] * 100
    with pytest.raises(PayloadError, match=r"takes at least .* bytes as JSON; at most 1,048,576"):
        PLAIN.encode(bomb)


def test_a_payload_over_the_limit_is_refused_with_both_sizes() -> None:
    codec: PayloadCodec[Any] = PayloadCodec(max_bytes=1_000)
    assert len(codec.encode("x" * 998)) == 1_000
    with pytest.raises(PayloadError, match=r"takes 1,001 bytes as JSON; at most 1,000 are allowed"):
        codec.encode("x" * 999)
    with pytest.raises(PayloadError, match=r"takes at least 5,001 bytes as JSON; at most 1,000"):
        codec.encode("x" * 5_000)
    for data in ([0] * 1_000, {str(number): 0 for number in range(400)}):
        with pytest.raises(PayloadError, match=r"at most 1,000 are allowed"):
            codec.encode(data)
    typed: PayloadCodec[HealthCheck] = PayloadCodec(HealthCheck, max_bytes=100)
    with pytest.raises(PayloadError, match=r"takes \d+ bytes as JSON; at most 100 are"):
        typed.encode(HealthCheck("c" * 100, "s"))


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"NaN", b"[Infinity]", b"1 2", b"\xff", b'"\\ud800"', b"[" * 300 + b"]" * 300]
)
def test_malformed_json_is_a_payload_error(raw: bytes) -> None:
    with pytest.raises(PayloadError, match=r"Stored payload b.* is no JSON"):
        PLAIN.decode(raw)
    with pytest.raises(PayloadError, match=r"Stored payload b.* is no HealthCheck"):
        PayloadCodec[HealthCheck](HealthCheck).decode(raw)


def test_a_payload_is_a_snapshot() -> None:
    data = {"a": [1]}
    raw = PLAIN.encode(data)
    data["a"].append(2)
    assert PLAIN.decode(raw) == {"a": [1]}
    assert PLAIN.decode(raw) is not PLAIN.decode(raw)


# -- with a payload type -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload_type", "data"),
    [
        (HealthCheck, HealthCheck("c1", "s1", 30, ["a", "b"])),
        (Identity, Identity(3)),
        (Movie, {"name": "x", "year": 2}),
        (Model, Model(name="x", when=datetime(2026, 1, 1, tzinfo=UTC))),
        (Extra, Extra.model_validate({"name": "x", "more": [1]})),
        (Aliased, Aliased.model_validate({"second": 1, "third": 2})),
        (HealthCheck | Movement, Movement(1, 2)),
        (AliasedItem, AliasedItem(first=1)),
        (list[HealthCheck], [HealthCheck("a", "b")]),
        (Annotated[Cat | Dog, Field(discriminator="kind")], Dog(name="x")),
        (dict[int, date], {3: date(2026, 1, 1)}),
        (int | str, "5"),
        (int | float, 5.0),
        (tuple[int, str], (1, "x")),
        (set[str], {"a", "b"}),
        (frozenset[int], frozenset({1, 2})),
        (Point, Point(1, 2)),
        (Colour, Colour.RED),
        (UUID, UUID("908c57de-cea6-441a-9b8c-e4ad6ecce8bd")),
        (Decimal, Decimal("1.10")),
        (timedelta, timedelta(seconds=1.5)),
        (bytes, b"abc"),
        (None, None),
        (Tree, Tree(children=[Tree(), Tree(children=[Tree()])])),
        (datetime, datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)),
    ],
    ids=excerpt,
)
def test_typed_payloads_come_back_equal_and_of_their_type(payload_type: Any, data: Any) -> None:
    codec: PayloadCodec[Any] = PayloadCodec(payload_type)
    back = codec.decode(codec.encode(data))
    assert type(back) is type(data)
    if isinstance(data, datetime):
        assert back.timestamp() == data.timestamp()
    elif isinstance(data, Identity):
        assert back.value == data.value
    else:
        assert back == data


def test_a_dict_for_a_dataclass_is_taken() -> None:
    codec: PayloadCodec[HealthCheck] = PayloadCodec(HealthCheck)
    raw = codec.encode({"check_id": "c", "system_id": "s", "timeout": "2.5"})
    assert codec.decode(raw) == HealthCheck("c", "s", 2.5)


@pytest.mark.parametrize(
    ("payload_type", "data", "message"),
    [
        (HealthCheck, HealthCheck(1, "s"), r"check_id: Input should be a valid string, got 1"),  # type: ignore[arg-type]
        (HealthCheck, HealthCheck("c", Word.A), r"system_id <Word.A: 'a'> of type Word would become 'a'"),
        (HealthCheck, HealthCheck("c", "s", "2"), r"timeout '2' of type str would become 2\.0 of type float"),  # type: ignore[arg-type]
        (HealthCheck, HealthCheck("c", "s", True), r"timeout True of type bool"),
        (HealthCheck, HealthCheck("c", "s", math.nan), r"timeout"),
        (HealthCheck, HealthCheck("c", "s", 1, ["a", 2]), r"tags\.1: Input should be"),  # type: ignore[list-item]
        (HealthCheck, HealthCheck("c", "\ud800"), r"surrogates not allowed"),
        (HealthCheck, Special("c", "s"), r"of type Special would become .* of type HealthCheck"),
        (HealthCheck, {"check_id": "c"}, r"is no HealthCheck: system_id: Field required"),
        (HealthCheck, Other("c", "s"), r"is no HealthCheck"),
        (HealthCheck | Other, Other("c", "s"), r"of type Other would become .* of type HealthCheck"),
        (HealthCheck, NO_JSON, r"is no HealthCheck"),
        (Loose, Loose((1, 2)), r"value \(1, 2\) of type tuple would become \[1, 2\] of type list"),
        (Loose, Loose([{"a": Level.LOW}]), r"value\[0\]\['a'\] <Level.LOW: 1> of type Level would become 1"),
        (Loose, Loose({1: 2}), r"value 1 of type int would become '1' of type str"),
        (Loose, Loose({"a": {1}}), r"value\['a'\] \{1\} of type set would become"),
        (Loose, Loose(HealthCheck("c", "s")), r"value HealthCheck\("),
        (Loose, Loose(math.inf), r"value inf of type float would become None"),
        (Loose, Loose(NO_JSON), r"is no Loose: Unable to serialize unknown type"),
        (set[Any], {Level.LOW}, r"would become"),
        (Login, Login(user="u", password=SecretStr("hunter2")), r"password SecretStr\('\*+'\) would become"),
        (Login, {"user": "u", "password": "hunter2"}, r"password"),
        (int, "x", r"is no int: the value: Input should be a valid integer"),
        (dict[str, Any], {"a": (1,)}, r"\['a'\] \(1,\) of type tuple"),
        (list[int], ["x"] * 9, r"0: Input should .*; and 6 more"),
    ],
    ids=excerpt,
)
def test_what_would_come_back_different_is_refused(payload_type: Any, data: Any, message: str) -> None:
    codec: PayloadCodec[Any] = PayloadCodec(payload_type)
    with pytest.raises(PayloadError, match=message) as caught:
        codec.encode(data)
    assert "would not come back" not in str(caught.value) or "hunter2" not in str(caught.value)


def test_a_models_private_state_does_not_get_lost_unnoticed() -> None:
    model = Model(name="x")
    codec: PayloadCodec[Model] = PayloadCodec(Model)
    codec.encode(model)
    model._note = "kept in memory alone"
    with pytest.raises(PayloadError, match="would not come back"):
        codec.encode(model)


def test_typed_payloads_that_contain_themselves_or_are_too_deep_are_refused() -> None:
    tree = Tree()
    tree.children.append(tree)
    deep = Tree()
    for _ in range(500):
        deep = Tree.model_construct(children=[deep])
    for data in (tree, deep):
        with pytest.raises(PayloadError):
            PayloadCodec[Tree](Tree).encode(data)


def test_a_validator_that_raises_anything_is_a_payload_error() -> None:
    @dataclass
    class Picky:
        value: int

        def __post_init__(self) -> None:
            raise LookupError("not today")

    codec: PayloadCodec[Any] = PayloadCodec(Picky)
    with pytest.raises(PayloadError, match="not today"):
        codec.encode({"value": 1})
    with pytest.raises(PayloadError, match="not today"):
        codec.decode(b'{"value":1}')


def test_stored_data_of_another_type_is_a_payload_error() -> None:
    codec: PayloadCodec[HealthCheck] = PayloadCodec(HealthCheck)
    with pytest.raises(
        PayloadError, match=r"is no HealthCheck: check_id: Input should be a valid string, got 5"
    ):
        codec.decode(b'{"check_id":5,"system_id":"s"}')


class Unknown:
    """A class that says nothing to pydantic."""


UNDEFINED: Any = list["NoSuchName"]  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("payload_type", [Unknown, list[Unknown], "NoSuchName", UNDEFINED, 5], ids=str)
def test_a_type_that_cannot_be_handled_is_a_config_error(payload_type: Any) -> None:
    with pytest.raises(ConfigError, match=r"Payload type .* can't be used: .*it must be a dataclass"):
        PayloadCodec(payload_type)


# -- canonical text and record format ------------------------------------------------------------


def test_canonical_json_sorts_keys_and_drops_spaces() -> None:
    assert canonical_json(b'{"b": 1.0, "a": [1, {"d": null, "c": "\xc3\xa4"}]}') == (
        '{"a":[1,{"c":"ä","d":null}],"b":1.0}'
    )
    assert canonical_json(b"1") != canonical_json(b"1.0") != canonical_json(b"true")
    with pytest.raises(PayloadError, match="is no JSON"):
        canonical_json(b"{")


@given(st.dictionaries(st.text(), JSON_VALUES))
def test_canonical_json_does_not_depend_on_the_order_of_keys(data: dict[str, Any]) -> None:
    turned = dict(reversed(data.items()))
    assert canonical_json(PLAIN.encode(data)) == canonical_json(PLAIN.encode(turned))


def test_a_newer_record_is_refused_with_both_formats() -> None:
    check_format(RECORD_FORMAT)
    check_format(0)
    with pytest.raises(PayloadError, match=rf"has format 99, .* formats up to {RECORD_FORMAT}"):
        check_format(99)
