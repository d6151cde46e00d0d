"""What people write on the command line, and what it becomes."""

import click
import pytest
from click.testing import CliRunner

from cli import contexts, reference, scripts, targets
from cli.app import drover
from cli.contexts import Context, Contexts
from cli.durations import Duration
from cli.exits import LoginNeeded
from contracts.agents import Language


@pytest.mark.parametrize(
    ("written", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("30d", 2_592_000), (7, 7)]
)
def test_durations(written, seconds):
    assert Duration().convert(written, None, None) == seconds


def test_a_duration_out_of_bounds_is_refused_with_the_bounds():
    assert [Duration("1s", "3d").convert(written, None, None) for written in ("1", "3d", "72h")] == [
        1,
        259_200,
        259_200,
    ]
    with pytest.raises(click.BadParameter, match="1s is the least"):
        Duration("1s", "3d").convert("0", None, None)
    with pytest.raises(click.BadParameter, match="3d is the most"):
        Duration("1s", "3d").convert("73h", None, None)


@pytest.mark.parametrize("written", ["", "soon", "-5", "1.5h", "5 m", "1h30m", "9999999999"])
def test_what_is_no_duration_is_refused(written):
    with pytest.raises(click.BadParameter):
        Duration().convert(written, None, None)


def test_targets_are_sorted_by_what_they_are():
    found = targets.read(["idc=js,bj", "tag=web", "business=shop, inc", "10.0.0.1,fe80::1", "web1", "h-0123456789ab"])
    assert found.criteria == {"idcs": ["js", "bj"], "tags": ["web"], "businesses": ["shop, inc"]}
    assert found.named == {"ips": ["10.0.0.1", "fe80::1"], "hostnames": ["web1"], "ids": ["h-0123456789ab"]}
    assert not found.everything
    assert not found.local


@pytest.mark.parametrize(
    "word",
    ["colour=red", "idc=", "idc=js,", "state=asleep", "a b", "", "web1,", "web*", "@/nowhere", "where=", "where= "],
)
def test_targets_that_nobody_can_mean_are_refused(word):
    with pytest.raises(click.UsageError):
        targets.read([word])


def test_groups_and_expressions_are_targets():
    found = targets.read(["group=web,idc:js", "where=tag = web and idc = js", "where=not online", "set=blue, green"])
    assert found.criteria == {"groups": ["web", "idc:js"], "sets": ["blue, green"]}
    assert targets.together(found.where) == "(tag = web and idc = js) and (not online)"
    assert targets.together(["online"]) == "online"


def test_a_list_of_hosts_has_comments_and_never_means_everything(tmp_path):
    file = tmp_path / "hosts"
    file.write_text("# ours\nweb1  # the first\n10.0.0.1, 10.0.0.2\n\nall\nlocal\n")
    found = targets.read([f"@{file}"])
    assert found.named == {"hostnames": ["web1", "all", "local"], "ips": ["10.0.0.1", "10.0.0.2"]}
    assert not found.everything
    assert not found.local


def test_an_empty_list_of_hosts_is_refused(tmp_path):
    file = tmp_path / "hosts"
    file.write_text("# nobody\n\n")
    with pytest.raises(click.UsageError, match="no hosts in"):
        targets.read([f"@{file}"])


def test_the_script_is_the_first_word_or_a_file(tmp_path):
    file = tmp_path / "check.py"
    file.write_text("print('ä')\n")
    assert scripts.script_of(("uptime", "-a"), None, python=False) == ("uptime", Language.SHELL, ("-a",))
    assert scripts.script_of(("-a",), str(file), python=False) == ("print('ä')\n", Language.PYTHON, ("-a",))


def test_a_script_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for file in ("binary", "nowhere"):
        with pytest.raises(click.UsageError, match="the script"):
            scripts.script_of((), str(tmp_path / file), python=False)
    with pytest.raises(click.UsageError, match="what shall run"):
        scripts.script_of((), None, python=False)


def test_an_empty_script_is_refused(tmp_path):
    (tmp_path / "empty").touch()
    for words, file in (("",), None), ((), str(tmp_path / "empty")):
        with pytest.raises(click.UsageError, match="empty"):
            scripts.script_of(words, file, python=False)


@pytest.mark.parametrize("name", ["a b", "1st", "region.id", "ä"])
def test_names_that_no_script_could_read_are_refused(name):
    with pytest.raises(click.UsageError, match="letters, digits"):
        scripts.pairs([f"{name}=1"], "--param")
    with pytest.raises(click.UsageError, match="letters, digits"):
        scripts.parameters([], [name], {name: "1"})


def test_secrets_come_from_the_environment_or_a_file(tmp_path):
    file = tmp_path / "secret"
    file.write_text("from file\n")
    made = scripts.parameters(["region=js"], ["KEY", f"other=@{file}"], {"KEY": "from environment"})
    assert [(each.name, each.value, each.masked) for each in made] == [
        ("region", "js", False),
        ("KEY", "from environment", True),
        ("other", "from file", True),
    ]


def test_a_secret_in_an_argument_is_refused_without_repeating_it():
    with pytest.raises(click.UsageError) as refused:
        scripts.parameters([], ["KEY=hunter2"], {})
    assert "hunter2" not in refused.value.message


def test_the_configuration_is_private_and_reads_back(tmp_path):
    file = tmp_path / "drover" / "config.toml"
    written = Contexts(
        "prod",
        {"prod": Context(url="https://d.example", token='a"\\\x7f\u00e4', ca="/x y"), "t": Context(url="https://t")},
    )
    contexts.save(file, written)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert contexts.load(file) == written
    assert [each.name for each in file.parent.iterdir()] == ["config.toml"]


@pytest.mark.parametrize(
    "content", ["]", 'contexts = "x"', "[contexts.a]\nurl = 3", "[contexts.a]\nhouse = 'x'", b"\xff"]
)
def test_a_broken_configuration_is_one_sentence(tmp_path, content):
    file = tmp_path / "config.toml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(0o600)
    with pytest.raises(click.UsageError, match="not a configuration of drover"):
        contexts.load(file)


def test_a_configuration_that_others_can_read_is_told(tmp_path, capsys):
    file = tmp_path / "config.toml"
    file.write_text('current = ""\n')
    file.chmod(0o644)
    contexts.load(file)
    assert "chmod 600" in capsys.readouterr().err


def test_a_token_goes_only_to_the_server_it_was_made_for():
    known = Contexts("prod", {"prod": Context(url="https://prod", token="secret")})
    assert contexts.chosen(known, "", {}).token == "secret"
    assert contexts.chosen(known, "", {"DROVER_URL": "https://prod/"}).token == "secret"
    assert contexts.chosen(known, "", {"DROVER_URL": "https://elsewhere"}).token == ""
    assert contexts.chosen(known, "", {"DROVER_TOKEN": "other"}).token == "other"


def test_a_server_that_is_not_known_is_told():
    with pytest.raises(LoginNeeded):
        contexts.chosen(Contexts(), "", {})
    with pytest.raises(click.UsageError, match="known: prod"):
        contexts.chosen(Contexts("", {"prod": Context(url="https://prod")}), "test", {})


@pytest.mark.parametrize(
    "url",
    [
        "drover.example",
        "ftp://x",
        "http://10.0.0.1:8470",
        "https://",
        "https://a:b@x",
        "https://x?y",
        "https://x:99999",
    ],
)
def test_addresses_that_do_not_do(url):
    with pytest.raises(click.UsageError):
        contexts.checked_url(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8470", "http://[::1]:8470/", "https://drover.example", "https://x/drover/"]
)
def test_addresses_that_do(url):
    assert contexts.checked_url(url) == url.rstrip("/")


def commands(command, path=()):
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, (*path, name))


@pytest.mark.parametrize("path", [path for path, _ in commands(drover)], ids=" ".join)
def test_every_command_has_help_with_examples_of_itself(path):
    said = CliRunner().invoke(drover, [*path, "--help"], prog_name="drover")
    assert said.exit_code == 0
    command = dict(commands(drover))[path]
    if not hasattr(command, "commands"):
        assert f"drover {' '.join(path)}" in said.output.partition("Examples:")[2] or path[-1] in {"start"}
    assert all(
        each.get_help_record(click.Context(command)) is None or each.help
        for each in command.params
        if isinstance(each, click.Option)
    )


def test_the_reference_has_every_command_and_every_option():
    page = reference.markdown()
    for path, command in commands(drover):
        assert f"## `{' '.join(('drover', *path))}`\n" in page
        for each in command.params:
            assert not isinstance(each, click.Option) or each.opts[-1] in page
    assert "\b" not in page
    assert "drover x 'uptime' -t idc=js\n" in page
