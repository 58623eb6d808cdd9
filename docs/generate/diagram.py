"""The state machine as a picture: the arrows come from `TRANSITIONS`, where they run is written here."""

from __future__ import annotations

from collections import defaultdict
from html import escape
from typing import NamedTuple

from checkmate_queue.core.lifecycle import TRANSITIONS


class Place(NamedTuple):
    """Where the middle of a state's box is, and which way it is cancelled."""

    x: float
    y: float
    cancel: tuple[float, float] = (0, -62)


class Route(NamedTuple):
    """How far an arrow bends from the straight line, and where its label stands."""

    bend: float = 0
    along: float = 0.5
    dx: float = 0
    dy: float = -8
    anchor: str = "middle"


WIDTH, HEIGHT = 1190, 620
BOX = (112, 38)
ENDS = frozenset(("completed", "failed", "expired", "cancelled"))

PLACES = {
    "enqueued": Place(80, 310),
    "delayed": Place(300, 130),
    "unclaimed": Place(300, 490, (-110, 0)),
    "pending": Place(560, 310),
    "retrying": Place(740, 130),
    "processing": Place(860, 310, (75, -60)),
    "completed": Place(1120, 310),
    "failed": Place(740, 490),
    "expired": Place(590, 570),
}

ROUTES = {
    ("enqueued", "delayed"): Route(dx=-8, anchor="end"),
    ("enqueued", "unclaimed"): Route(dx=-8, dy=12, anchor="end"),
    ("enqueued", "pending"): Route(along=0.74),
    ("delayed", "pending"): Route(dx=8, anchor="start"),
    ("delayed", "unclaimed"): Route(along=0.3, dx=6, dy=4, anchor="start"),
    ("unclaimed", "pending"): Route(along=0.3, dx=12, dy=10, anchor="start"),
    ("unclaimed", "expired"): Route(dx=-50, dy=22),
    ("pending", "expired"): Route(along=0.8, dx=8, dy=4, anchor="start"),
    ("pending", "processing"): Route(bend=-26, dy=-8),
    ("processing", "pending"): Route(bend=-26, dy=18),
    ("processing", "completed"): Route(along=0.47),
    ("processing", "retrying"): Route(along=0.6, dx=10, dy=4, anchor="start"),
    ("retrying", "pending"): Route(dx=-8, anchor="end"),
    ("processing", "failed"): Route(along=0.55, dx=10, dy=6, anchor="start"),
    ("failed", "pending"): Route(dx=10, anchor="start"),
}

STYLE = """
  text { font: 13px sans-serif; fill: #333 }
  .state { font-weight: bold; fill: #111 }
  .label { paint-order: stroke; stroke: #fff; stroke-width: 4px }
  rect { fill: #eef3fb; stroke: #3f51b5; stroke-width: 1.5 }
  .end rect { fill: #f1f1f1; stroke: #777 }
  .start rect { fill: #fff; stroke: #777; stroke-dasharray: 3 3 }
  path { fill: none; stroke: #555; stroke-width: 1.4; marker-end: url(#arrow) }
  .cancel path { stroke: #999; stroke-dasharray: 4 3 }
  .cancel text { font-size: 12px; fill: #666 }
"""


def diagram() -> str:
    """The picture as SVG."""
    labels: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in TRANSITIONS:
        labels[each.source, each.target].append(each.event)
    arrows = [
        _cancel(source) if target == "cancelled" else _arrow(source, target, events)
        for (source, target), events in labels.items()
    ]
    boxes = [_box(state) for state in PLACES]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
            ' aria-label="The states of a delivery and the transitions between them">',
            f"<style>{STYLE}</style>",
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8"'
            ' orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" style="fill:#555;stroke:none"/>'
            "</marker></defs>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" style="fill:#fff;stroke:none"/>',
            *arrows,
            *boxes,
            "</svg>\n",
        ]
    )


def _box(state: str) -> str:
    x, y, _ = PLACES[state]
    width, height = BOX
    kind = "end" if state in ENDS else "start" if state == "enqueued" else "lasting"
    return (
        f'<g class="{kind}"><rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width}"'
        f' height="{height}" rx="8"/><text class="state" x="{x:g}" y="{y + 5:g}" text-anchor="middle">'
        f"{state}</text></g>"
    )


def _arrow(source: str, target: str, events: list[str]) -> str:
    bend, along, dx, dy, anchor = ROUTES[source, target]
    (ax, ay, _), (bx, by, _) = PLACES[source], PLACES[target]
    length = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5
    # The control point stands off the middle of the straight line, at a right angle to it.
    cx = (ax + bx) / 2 - (by - ay) / length * -bend
    cy = (ay + by) / 2 + (bx - ax) / length * bend
    x0, y0 = _edge(ax, ay, cx, cy)
    x1, y1 = _edge(bx, by, cx, cy)
    at = _between(along, (x0, y0), (cx, cy), (x1, y1))
    lines = "".join(
        f'<tspan x="{at[0] + dx:.0f}" dy="{16 if row else 0}">{escape(event)}</tspan>'
        for row, event in enumerate(events)
    )
    return (
        f'<g><path d="M{x0:.0f} {y0:.0f} Q{cx:.0f} {cy:.0f} {x1:.0f} {y1:.0f}"/>'
        f'<text class="label" y="{at[1] + dy:.0f}" text-anchor="{anchor}">{lines}</text></g>'
    )


def _cancel(source: str) -> str:
    x, y, (dx, dy) = PLACES[source]
    x0, y0 = _edge(x, y, x + dx, y + dy)
    return (
        f'<g class="cancel"><path d="M{x0:.0f} {y0:.0f} L{x + dx:.0f} {y + dy:.0f}"/>'
        f'<text x="{x + dx:.0f}" y="{y + dy - 6:.0f}" text-anchor="middle">cancelled</text></g>'
    )


def _edge(x: float, y: float, towards_x: float, towards_y: float) -> tuple[float, float]:
    """Where the line from the middle of a box to a point leaves the box."""
    dx, dy = towards_x - x, towards_y - y
    width, height = BOX
    scale = min(width / 2 / abs(dx) if dx else 1e9, height / 2 / abs(dy) if dy else 1e9)
    return x + dx * scale, y + dy * scale


def _between(
    t: float, start: tuple[float, float], control: tuple[float, float], end: tuple[float, float]
) -> tuple[float, float]:
    a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
    return (
        a * start[0] + b * control[0] + c * end[0],
        a * start[1] + b * control[1] + c * end[1],
    )
