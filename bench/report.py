"""Writes the measurements into bench/README.md: a table with ratios, and a plot of the time."""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
README, PLOT = HERE / "README.md", HERE / "wall.svg"


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: a ratio where there is one, its target, and the figures it comes from."""

    what: str
    ratio: str
    target: str
    ours: str
    theirs: str


@dataclasses.dataclass(frozen=True)
class Bar:
    """One contestant's wall time in seconds: before, in, and after Argo CD's own operation."""

    name: str
    before: float
    operation: float
    after: float


def spread(values: Sequence[float], digits: int = 1, unit: str = "s") -> str:
    """The median, with minimum and maximum in parentheses."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f}{unit and ' ' + unit} ({low:.{digits}f}-{high:.{digits}f})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """The median of the rounds' ratios: both of a round ran one after the other."""
    return f"**{statistics.median(a / b for a, b in zip(ours, theirs, strict=True)):.2f}**"


def write(rows: Sequence[Row], bars: Sequence[Bar], said: str) -> None:
    """Write the table into bench/README.md, and draw the plot."""
    draw(bars)
    lines = ["| | ratio | target | argorun | compared with |", "|---|---|---|---|---|"]
    lines += [f"| {r.what} | {r.ratio} | {r.target} | {r.ours} | {r.theirs} |" for r in rows]
    put("measured", said, "", *lines, "", "![Where the time goes](wall.svg)")


def put(mark: str, *lines: str) -> None:
    """Replace the lines between this mark of bench/README.md and the next end mark."""
    between = re.compile(rf"(?<=<!-- {mark} -->\n).*?(?=<!-- end -->)", re.S)
    text, old = "\n".join(["", *lines, "", ""]), README.read_text(encoding="utf-8")
    assert between.search(old), f"bench/README.md has lost its mark {mark}"
    README.write_text(between.sub(lambda _: text, old), encoding="utf-8")


def draw(bars: Sequence[Bar]) -> None:
    """Draw a horizontal bar for each contestant, in three parts."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "argorun", "svg.fonttype": "none", "font.size": 10})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.6 * len(bars) + 1.2))
    parts = (("before", "#94a3b8", "before"), ("operation", "#2563eb", "Argo CD's own operation"))
    left = [0.0] * len(bars)
    for field, color, label in (*parts, ("after", "#cbd5e1", "after: clean-up")):
        widths = [getattr(b, field) for b in bars]
        axes.barh([b.name for b in bars], widths, left=left, color=color, label=label)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("seconds, median")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(PLOT, metadata={"Date": None})
