"""The script library does the same in dash, bash and Python."""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import parameters, scripts
from contracts.agents import Language, RunScript
from tests.agent.script_rig import LIBRARY, PYTHON, SHELLS, run

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
AWKWARD = [
    "plain",
    "",
    " ",
    "two\nlines",
    "ends\n\n",
    "\n",
    "back\\slash \\0101 \\n \\c end",
    "%s %b 100%",
    "-n",
    "a=b=c",
    "$(echo no) `echo no` \"'",
    "*",
    "grüße 统一",
    "\x01\x7f\x80\x88\x9f",
    "\t\r\x1b[31m",
    "x" * 8192,
]
DOC = Path(__file__).resolve().parents[2] / "docs" / "script-library.md"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("value", AWKWARD)
def test_a_shell_script_gets_the_exact_value(shell: str, value: str, tmp_path: Path) -> None:
    script = 'set -eu; . "$DROVER_LIB"; drover_param p; drover_param p'
    ran = run(shell, script, tmp_path, {"pp": "wrong", "p": value, "q": "wrong"})
    assert (ran.code, ran.out, ran.err) == (0, 2 * value.encode(), "")


@pytest.mark.parametrize("value", AWKWARD)
def test_a_python_script_gets_the_exact_value(value: str, tmp_path: Path) -> None:
    script = 'import drover, sys; sys.stdout.buffer.write((drover.param("p") + drover.param("p", 1)).encode())'
    ran = run(PYTHON, script, tmp_path, {"pp": "wrong", "p": value, "q": "wrong"})
    assert (ran.code, ran.out, ran.err) == (0, 2 * value.encode(), "")


@given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True), st.text(), max_size=5))
def test_the_parameter_file_is_one_printable_line_each_and_loses_nothing(values: dict[str, str]) -> None:
    text = parameters.encode(values).decode("ascii")
    lines = text.split("\n")[:-1]
    assert text == "".join(line + "\n" for line in lines)
    read = {}
    for line in lines:
        assert line.isprintable()
        name, _, value = line.partition("=")
        read[name] = re.sub(r"\\0([0-7]{3})", lambda found: chr(int(found[1], 8)), value).encode("latin-1").decode()
    assert read == values


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("values", [None, {}, {"other": "x"}])
def test_a_missing_parameter_is_its_default_or_an_error(
    shell: str, values: dict[str, str] | None, tmp_path: Path
) -> None:
    ran = run(
        shell, '. "$DROVER_LIB"; drover_param p; echo $?; drover_param p "d  e"; drover_param p ""', tmp_path, values
    )
    assert ran.out == b"1\nd  e"
    assert ran.err == "drover_param: there is no parameter p, and no default was given\n"
    script = 'import drover; print(drover.param("p", None)); drover.param("p")'
    ran = run(PYTHON, script, tmp_path, values)
    assert (ran.code, ran.out) == (1, b"None\n")
    assert "MissingParameter: there is no parameter p, and no default was given" in ran.err


@pytest.mark.parametrize("shell", SHELLS)
def test_a_closed_descriptor_is_not_mistaken_for_a_missing_parameter(shell: str, tmp_path: Path) -> None:
    ran = run(shell, '. "$DROVER_LIB"; DROVER_PARAMS_FD=88; drover_param p default', tmp_path, {"p": "x"})
    assert (ran.code, ran.out) == (1, b"")
    assert "descriptor 88 was closed" in ran.err
    script = 'import os, drover; os.environ["DROVER_PARAMS_FD"] = "88"; drover.param("p", 1)'
    assert run(PYTHON, script, tmp_path, {"p": "x"}).code == 1


@pytest.mark.parametrize("shell", SHELLS)
def test_the_library_lives_with_what_scripts_set(shell: str, tmp_path: Path) -> None:
    script = """
        set -euCf; IFS=x; LC_ALL=C; level=mine line=mine file=mine new=mine
        . "$DROVER_LIB"
        drover_tag one; drover_tag two; drover_result 1; drover_result 2
        drover_info a  'b  c'
        printf '%s|' "$(drover_param p)" "$level" "$line" "$file" "$new" "$IFS"
    """
    ran = run(shell, script, tmp_path, {"p": "x*x"})
    assert (ran.code, ran.out) == (0, b"x*x|mine|mine|mine|mine|x|")
    assert re.fullmatch(STAMP + " INFO  a b  c\n", ran.err)
    assert ran.left == ("two", "2", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_tracing_shows_no_value(shell: str, tmp_path: Path) -> None:
    ran = run(shell, 'set -x; . "$DROVER_LIB"; drover_param p >/dev/null', tmp_path, {"p": "the-secret"})
    assert "drover_param p" in ran.err
    assert "the-secret" not in ran.err


@pytest.mark.parametrize(("level", "width"), [("DEBUG", ""), ("INFO", " "), ("WARN", " "), ("ERROR", "")])
def test_log_lines_look_the_same_everywhere(level: str, width: str, tmp_path: Path) -> None:
    sh = f""". "$DROVER_LIB"; drover_{level.lower()} "it's 5%s" of; drover_log {level} x"""
    py = f'''import drover; drover.{level.lower()}("it's 5%s of"); drover.log("{level}", "x")'''
    for interpreter, script in [("dash", sh), ("bash", sh), (PYTHON, py)]:
        ran = run(interpreter, script, tmp_path)
        assert re.fullmatch(f"{STAMP} {level}{width} it's 5%s of\n{STAMP} {level}{width} x\n", ran.err)
        assert (ran.code, ran.out) == (0, b"")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "call",
    [
        "drover_tag ''",
        "drover_tag",
        "drover_tag 'a b'",
        "drover_tag a b",
        "drover_tag ü",
        "drover_tag ../x",
        f"drover_tag {'x' * 65}",
        "drover_log LOUD x",
        "drover_log",
        "drover_param",
        "drover_param a b c",
        "drover_result",
        "drover_result ''",
        "drover_result 1 2",
    ],
)
def test_wrong_use_says_so_and_leaves_nothing(shell: str, call: str, tmp_path: Path) -> None:
    ran = run(shell, f'. "$DROVER_LIB"; LC_ALL=C.UTF-8; {call}', tmp_path)
    assert ran.code == 2
    assert ran.err.startswith(call.split(maxsplit=1)[0] + ": ") and ran.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "call",
    ['tag("a b")', 'tag("x" * 65)', 'tag("a\\n")', 'result(float("nan"))', 'result("x" * 65536)', 'log("LOUD", 1)'],
)
def test_wrong_use_in_python_raises_and_leaves_nothing(call: str, tmp_path: Path) -> None:
    ran = run(PYTHON, f"import drover; drover.{call}", tmp_path)
    assert "ValueError" in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_a_large_result_passes_up_to_the_limit(shell: str, tmp_path: Path) -> None:
    script = """. "$DROVER_LIB"; v=x; while [ ${#v} -lt %d ]; do v=$v$v; done; drover_result "\\"${v#xx%s}\\"" """
    ran = run(shell, script % (65536, ""), tmp_path)
    assert (ran.code, len(ran.left.result)) == (0, 65536)
    ran = run(shell, script % (65537, ""), tmp_path)
    assert ran.code == 2
    assert len(ran.left.result) == 65536, "the value of before is still there"


def test_the_python_library_is_written_for_old_pythons() -> None:
    ast.parse((LIBRARY / "drover.py").read_text(), feature_version=(3, 6))


GIVEN = {
    "version": "2.15.1",
    "password": 'p"$w\\\nrd',
    "@region.id": "5",
    "@region.mongodb.hosts": '["10.0.0.1","10.0.0.2"]',
}
"""What the page says its examples are run with."""


def examples() -> list[tuple[str, str, dict[str, str]]]:
    """(language, script, what it leaves) of each example in the documentation."""
    found: list[tuple[str, str, dict[str, str]]] = []
    for kind, text in re.findall(r"^```(\w+(?: \w+)?)\n(.*?)^```$", DOC.read_text(), re.M | re.S):
        if kind in ("sh", "python"):
            found.append((kind, text, {}))
        else:
            found[-1][2][kind.split()[1]] = text
    return found


@pytest.mark.parametrize(("language", "script", "left"), examples())
def test_the_examples_of_the_documentation_do_what_it_says(
    language: str, script: str, left: dict[str, str], tmp_path: Path
) -> None:
    assert left
    for number, interpreter in enumerate(SHELLS if language == "sh" else [PYTHON]):
        work = tmp_path / str(number)
        work.mkdir()
        ran = run(interpreter, script, work, GIVEN)
        output = re.sub(STAMP, "2026-01-31T12:00:00Z", ran.out.decode() + ran.err)
        assert output == left.get("output", "")
        assert ran.left.tag == left.get("tag", "").strip()
        assert json.loads(ran.left.result or "null") == json.loads(left.get("result", "null"))
        assert ran.left.problem == ""


def test_every_variable_of_ours_is_described() -> None:
    order = RunScript(language=Language.PYTHON, script="x", timeout_s=1)
    variables = scripts.environment(order, "r-0-0-0", "h-1", Path("work"), Path("lib"))
    described = re.findall(r"`([A-Z_]+)`", DOC.read_text().split("## The environment")[1].split("## ")[0])
    assert set(variables) <= set(described)


KEYS = ["region.id", "größe", 'limits."nginx.conf"', "a-b", "*", "$(x)"]


@pytest.mark.parametrize("interpreter", [*SHELLS, PYTHON])
@pytest.mark.parametrize("key", KEYS)
def test_a_variable_is_read_by_its_flattened_key(interpreter: str, key: str, tmp_path: Path) -> None:
    shell = f'. "$DROVER_LIB"; drover_var {shlex.quote(key)}'
    python = f"import drover, sys; sys.stdout.buffer.write(drover.var({key!r}).encode())"
    values = {key: "a parameter", "@" + key + "x": "wrong", "@" + key: "two\nlines"}
    ran = run(interpreter, python if interpreter == PYTHON else shell, tmp_path, values)
    assert (ran.code, ran.out, ran.err) == (0, b"two\nlines", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_parameters_and_variables_are_never_taken_for_each_other(shell: str, tmp_path: Path) -> None:
    values = {"p": "parameter", "@v": "variable", "@a=b": "odd"}
    script = '. "$DROVER_LIB"; drover_param v none; drover_var p none; drover_var a none; drover_var a=b none'
    ran = run(shell, script, tmp_path, values)
    assert (ran.code, ran.out) == (0, b"nonenonenonenone")
    python = "import drover; print(drover.param('v', 1), drover.var('p', 2), drover.var('a', 3), drover.var('a=b'))"
    assert run(PYTHON, python, tmp_path, values).out == b"1 2 3 odd\n"


@pytest.mark.parametrize(
    ("interpreter", "script", "said"),
    [
        *((shell, '. "$DROVER_LIB"; drover_var v', "drover_var: there is no variable v, and no default") for shell in SHELLS),
        *((shell, '. "$DROVER_LIB"; drover_var', "drover_var: use drover_var KEY [DEFAULT]") for shell in SHELLS),
        (PYTHON, "import drover; drover.var('v')", "MissingVariable: there is no variable v"),
    ],
)  # fmt: skip
def test_a_variable_that_is_missing_is_told(interpreter: str, script: str, said: str, tmp_path: Path) -> None:
    ran = run(interpreter, script, tmp_path, {"v": "a parameter"})
    assert ran.code != 0
    assert said in ran.err


@pytest.mark.parametrize("shell", SHELLS)
def test_tracing_prints_no_variable(shell: str, tmp_path: Path) -> None:
    ran = run(shell, '. "$DROVER_LIB"; set -x; drover_var v >/dev/null', tmp_path, {"@v": "s3cret"})
    assert ran.code == 0
    assert "s3cret" not in ran.err
