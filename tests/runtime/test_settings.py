from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.settings import BadSettings, load


@dataclass(frozen=True, kw_only=True)
class Settings:
    where: Path
    servers: tuple[str, ...] = ()
    count: int = 3
    ratio: float = 0.5


def test_values_are_read_and_converted():
    given = {"X_WHERE": "/var/x", "X_SERVERS": "a, b", "X_COUNT": "7", "OTHER": "ignored"}
    assert load(Settings, "X_", given) == Settings(where=Path("/var/x"), servers=("a", "b"), count=7)


def test_an_empty_value_is_no_value():
    assert load(Settings, "X_", {"X_WHERE": "/x", "X_COUNT": ""}).count == 3


def test_a_value_may_stand_in_a_file(tmp_path):
    (tmp_path / "count").write_text("9\n")
    assert load(Settings, "X_", {"X_WHERE": "/x", "X_COUNT_FILE": str(tmp_path / "count")}).count == 9


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"X_WHERE": "/x", "X_COUMT": "1"}, "unknown settings: X_COUMT"),
        ({}, "missing settings: X_WHERE"),
        ({"X_WHERE": "/x", "X_COUNT": "many"}, r"X_\*: .*count"),
        ({"X_WHERE": "/x", "X_COUNT_FILE": "/nowhere"}, "X_COUNT_FILE: cannot read /nowhere"),
    ],
)
def test_a_mistake_stops_the_process_with_one_line(given, says):
    with pytest.raises(BadSettings, match=says) as stop:
        load(Settings, "X_", given)
    assert "\n" not in str(stop.value)
