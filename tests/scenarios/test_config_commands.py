"""`vmcatcher config …`: what is set and by whom, and every mistake that can be seen before it hurts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.schemas import check_envelope
from support.site import Site
from vmcatcher.settings import TABLE


@pytest.fixture
def file(site: Site) -> Path:
    """The settings file of the site, empty yet."""
    path = site.root / "vmcatcher.toml"
    path.touch()
    site.environment["VMCATCHER_CONFIG"] = str(path)
    return path


def _show(site: Site, *words: str, **environment: str) -> dict[str, dict]:
    result = site.expect(0, "vmcatcher", "config", "show", "--json", *words, **environment)
    return {one["name"]: one for one in check_envelope(result.out)["result"]["settings"]}


def test_every_setting_is_shown_with_where_it_comes_from(site: Site, file: Path):
    file.write_text('limits.list_bytes = "1M"\n[cache]\nrecheck_after = "12h"\n')
    found = _show(site, "--store", str(site.store), VMCATCHER_WAIT="30s")
    assert set(found) == {one.name for one in TABLE}
    assert [(found[name]["value"], found[name]["origin"], found[name]["source"]) for name in (
        "store", "wait", "list_bytes", "recheck_after", "trust_crl"
    )] == [
        (str(site.store), "option", None),
        (30, "variable", "VMCATCHER_WAIT"),
        (2**20, "file", str(file)),
        (43200, "file", str(file)),
        ("require", "default", None),
    ]  # fmt: skip


def test_lines_for_a_pipe_hold_key_value_and_origin(site: Site, file: Path):
    file.write_text("trust.sha1 = true\n")
    lines = site.expect(0, "vmcatcher", "config", "show", "--changed").lines
    assert f"trust.sha1\ttrue\tfile\t{file}" in lines
    assert f"store\t{site.store}\tvariable\tVMCATCHER_STORE" in lines
    assert len(lines) == 3


def test_file_of_the_option_is_the_one_that_is_shown(site: Site, file: Path, tmp_path: Path):
    file.write_text("locks.wait = 1\n")
    other = tmp_path / "other.toml"
    other.write_text("locks.wait = 2\n")
    assert _show(site, "--config", str(other))["wait"]["source"] == str(other)


def test_no_password_is_shown(site: Site, file: Path):
    file.write_text(
        "mirrors = ['https://user:CANARY@mirror.example.org/x']\n"
        "events.cache = 'curl -d @- https://user:CANARY@hook.example.org/'\n"
    )
    environment = {
        "VMCATCHER_STORE": "",
        "VMCATCHER_RDBMS": "mysql://user:CAN,ARY@host/CANARY@db",
        "https_proxy": "http://user:CANARY@proxy.example.org:3128",
    }
    for words in (("show",), ("show", "--json"), ("check",), ("check", "--json")):
        result = site.run("vmcatcher", "config", *words, **environment)
        assert "ARY" not in result.out + result.err, words
    assert "http://***@proxy.example.org:3128" in site.run("vmcatcher", "config", "show", **environment).out


# -- check


def _findings(site: Site, code: int, *words: str, **environment: str) -> dict[str, str]:
    result = site.expect(code, "vmcatcher", "config", "check", "--json", *words, **environment)
    found = check_envelope(result.out)["result"]["findings"]
    assert all(one["said"].isprintable() for one in found)
    return {one["about"]: f"{one['severity']}: {one['said']}" for one in found}


def test_check_of_settings_in_good_order_finds_nothing(site: Site, file: Path):
    site.expect(0, "vmcatcher", "store", "init")
    file.write_text(f"trust.directory = {json.dumps(str(site.pki.certificates))}\nevents.cache = 'cat > /dev/null'\n")
    assert _findings(site, 0) == {}
    assert site.expect(0, "vmcatcher", "config", "check").out == ""


def test_check_names_everything_that_is_wrong_at_once(site: Site, file: Path):
    file.write_text(
        "stroe = 'x'\nlocks.wait = 'soon'\nevents.cache = '/no/such/handler --x'\n"
        "[cache]\ndirectory = '/no/such/directory'\nlinks = 'soft'\n[retention]\nexpired = 'long'\n"
    )
    found = _findings(site, 1, VMCATCHER_DIR_CERT="/no/such/anchors", VMCATCHER_CASH_DIR="x", VMCATCHER_TRUST_CRL="x")
    assert {about: said.partition(":")[0] for about, said in found.items()} == {
        "stroe": "error",
        f"locks.wait in {file}": "error",
        f"cache.links in {file}": "error",
        "VMCATCHER_TRUST_CRL": "error",
        "events.cache": "error",
        "cache.directory": "error",
        "retention.expired": "error",
        "VMCATCHER_DIR_CERT": "error",
        "VMCATCHER_STORE": "warning",
        "VMCATCHER_CASH_DIR": "warning",
    }
    assert "did you mean store?" in found["stroe"]
    assert "/no/such/handler is not there" in found["events.cache"]


def test_check_looks_at_the_file_that_is_named(site: Site, file: Path, tmp_path: Path):
    site.expect(0, "vmcatcher", "store", "init")
    other = tmp_path / "other.toml"
    other.write_text("x = 1\n")
    assert _findings(site, 0) == {}
    assert set(_findings(site, 1, str(other))) == {"x"}
    assert set(_findings(site, 1, "--config", str(other))) == {"x"}
    assert "cannot read the settings file" in next(iter(_findings(site, 1, str(tmp_path / "missing")).values()))
    other.write_text("x = [")
    assert str(other) in _findings(site, 1, str(other))


def _secret(file: Path):
    file.write_text("mirrors = ['https://user:CANARY@mirror.example.org/x']\n")
    file.chmod(0o644)


def _writable(file: Path):
    file.chmod(0o666)


@pytest.mark.parametrize(("spoil", "code", "says"), [(_secret, 0, "chmod 600"), (_writable, 1, "chmod o-w")])
def test_check_names_a_file_that_others_may_use(
    spoil: Callable[[Path], None], code: int, says: str, site: Site, file: Path
):
    site.expect(0, "vmcatcher", "store", "init")
    spoil(file)
    assert says in _findings(site, code)[str(file)]
    file.chmod(0o600)
    assert _findings(site, 0) == {}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("no-such-program-xyz --flag", "no program no-such-program-xyz"),
        ("{root}/handler x", "may not be executed"),
        ("{root} x", "may not be executed"),
        ("'unclosed", "No closing quotation"),
        ("# nothing", "no command"),
    ],
)
def test_check_names_a_handler_that_cannot_be_run(command: str, says: str, site: Site, file: Path):
    (site.root / "handler").write_text("#!/bin/sh\n")
    found = _findings(site, 1, VMCATCHER_CACHE_EVENT=command.format(root=site.root))
    assert says in found["VMCATCHER_CACHE_EVENT"]


@pytest.mark.parametrize(
    "command", ["cat > /dev/null", "test -e /x", "A=1 cat", "(cat; true)", "$HOME/x", "exec nosuch"]
)
def test_check_leaves_to_the_shell_what_it_alone_understands(command: str, site: Site, file: Path):
    site.expect(0, "vmcatcher", "store", "init")
    assert _findings(site, 0, VMCATCHER_CACHE_EVENT=command) == {}


def test_check_names_a_store_that_cannot_be_used(site: Site, file: Path):
    site.store.mkdir()
    (site.store / "vmcatcher.json").write_text('{"format": 99}')
    assert "VMCATCHER_STORE" in _findings(site, 1)
    assert "VMCATCHER_RDBMS" in _findings(site, 1, VMCATCHER_STORE="", VMCATCHER_RDBMS="mysql://h/d")


def test_check_names_a_proxy_that_cannot_be_used(site: Site, file: Path):
    site.expect(0, "vmcatcher", "store", "init")
    assert set(_findings(site, 1, https_proxy="socks5://127.0.0.1:1")) == {"https_proxy"}
