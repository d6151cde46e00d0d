"""Figures of several rounds: median and spread, as a table for people and as JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

screen = Console(width=110, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Figure:
    """One quantity as it came out in each round."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return median(self.values)

    def text(self, unit: str = "", scale: float = 1.0) -> str:
        """`1.23 s (1.20-1.31)`"""
        low, high = min(self.values) * scale, max(self.values) * scale
        return f"{_short(self.median * scale)}{unit} ({_short(low)}-{_short(high)})"

    def plain(self) -> dict[str, float]:
        return {
            "median": _rounded(self.median),
            "min": _rounded(min(self.values)),
            "max": _rounded(max(self.values)),
        }


def ratio(of: Sequence[float], limits: Sequence[float]) -> Figure:
    """Each round against the limit of the same round."""
    return Figure([value / limit for value, limit in zip(of, limits, strict=True)])


def show(title: str, rows: Iterable[Sequence[str]], notes: Iterable[str] = ()) -> None:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    for row in rows:
        table.add_row(*row)
    screen.print(table)
    for note in notes:
        screen.print(note)


def finish(bench: str, ratios: Figure, aim: float, figures: Mapping[str, object]) -> None:
    """The last line: everything as one JSON object."""
    said: dict[str, object] = {
        "bench": bench,
        "ratio": _rounded(ratios.median),
        "aim": aim,
        "reached": ratios.median <= aim,
    }
    said |= {"ratio_spread": [_rounded(min(ratios.values)), _rounded(max(ratios.values))], "rounds": len(ratios.values)}
    said |= {name: value.plain() if isinstance(value, Figure) else value for name, value in figures.items()}
    print(json.dumps(said), flush=True)


def verdict(figure: float, aim: float) -> str:
    return f"aim {_short(aim)}: {'reached' if figure <= aim else 'missed'}"


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
