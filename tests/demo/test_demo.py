"""vmcatcher demo, played for real: what the story shows, what it leaves, and that it notices when a step goes wrong."""

from __future__ import annotations

import os
import pty
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from vmcatcher.demo.grid import make_grid
from vmcatcher.demo.publisher import Publisher
from vmcatcher.demo.stage import installed_program
from vmcatcher.demo.story import play
from vmcatcher.demo.voice import Voice
from vmcatcher.errors.demands import DemoPlaceUnusable, DemoSurprise
from vmcatcher.model.event import EventKind

BIN = Path(sys.executable).parent
PROGRAM = str(BIN / "vmcatcher")
ROOT = Path(__file__).resolve().parents[2]
_needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@dataclass(frozen=True)
class Played:
    code: int
    out: str
    err: str
    temporary: Path
    place: Path
    cpu_s: float

    def act(self, number: int) -> str:
        """What was said from the title of an act to the next one's."""
        found = re.search(rf"^{number}\. .*?(?=^\d+\. |^Every step|^To go on|\Z)", self.out, re.MULTILINE | re.DOTALL)
        assert found, f"no act {number} in {self.out}"
        return found[0]


def _environment(temporary: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VMCATCHER_")}
    return {**kept, "HOME": str(temporary), "TMPDIR": str(temporary), **more}


def _play(base: Path, *arguments: str, **environment: str) -> Played:
    temporary = base / "temporary"
    temporary.mkdir()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [PROGRAM, "demo", *arguments],
        env=_environment(temporary, **environment),
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Played(done.returncode, done.stdout, done.stderr, temporary, base / "place", cpu_s)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The demonstration in the surroundings of a site that works already, all of which would lead it astray."""
    astray = {
        "VMCATCHER_STORE": "/nonexistent",
        "VMCATCHER_RDBMS": "sqlite:////nonexistent.db",
        "VMCATCHER_CACHE_EVENT": "false",
        "VMCATCHER_VIEW_LINKS": "copy",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }
    return _play(tmp_path_factory.mktemp("played"), **astray)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The demonstration with --keep, in a directory whose name a shell has to be told carefully."""
    base = tmp_path_factory.mktemp("kept") / "it's kept"
    base.mkdir()
    return _play(base, "--keep", str(base / "place"))


@pytest.mark.slow
class TestStory:
    def test_ends_well_and_says_nothing_on_stderr(self, played: Played):
        assert (played.code, played.err) == (0, "")
        assert "Every step did what it should: 22 commands" in played.out

    def test_is_short_enough_to_be_watched(self, played: Played):
        """Under 20 s on a machine with nothing else to do: some of them are spent waiting for a list to expire."""
        assert played.cpu_s < 12

    def test_leaves_nothing_behind(self, played: Played):
        assert list(played.temporary.iterdir()) == []

    def test_has_numbered_acts_and_no_colours_in_a_pipe(self, played: Played):
        assert re.findall(r"^(\d+)\. ", played.out, re.MULTILINE) == [str(number) for number in range(1, 12)]
        assert "\x1b" not in played.out

    def test_shows_commands_as_they_are_typed(self, played: Played):
        classic = ("_subscribe -s", "_subscribe -U", "_image -l", "_cache -x")
        nouns = (" endorser add", " image subscribe", " plan", " sync", " status", " image history", " image proof")
        for command in (*classic, *nouns, " image verify-proof"):
            assert re.search(rf"^  \$ vmcatcher{command}\b", played.out, re.MULTILINE), command

    @pytest.mark.parametrize(
        ("act", "states"),
        [
            (3, "worker 0, desktop 0, builder 0"),
            (4, "worker 2, desktop 2, builder 2"),
            (5, "worker 3, desktop 3, builder 2"),
            (7, "worker 3, desktop 3, builder 2"),
            (8, "worker 3, desktop 1, builder 2, gpu 2"),
            (10, "worker 1, desktop 1, builder 0, gpu 0"),
        ],
    )
    def test_shows_states(self, played: Played, act: int, states: str):
        rows = re.findall(r"^  (\w+)\t(\d)\tdemo-list$", played.act(act), re.MULTILINE)
        assert ", ".join(f"{image} {state}" for image, state in rows) == states

    def test_shows_the_links_of_both_views(self, played: Played):
        def links(act: int) -> list[str]:
            return re.findall(r"^  store/(\S+?)(?:\.\S+)? -> \.\./blobs/sha512/", played.act(act), re.MULTILINE)

        assert links(6) == ["endorsed/desktop", "endorsed/worker"]
        assert links(8) == ["endorsed/worker", "expired/desktop", "expired/worker"]
        assert links(10) == ["expired/desktop", "expired/worker", "expired/worker"]

    def test_tells_every_kind_of_event(self, played: Played):
        told = re.findall(r"^  ([A-Z]\w+(?:fix|New))\b", played.act(11), re.MULTILINE)
        assert set(told) == {kind.value for kind in EventKind}

    def test_says_why_each_image_left(self, played: Played):
        told = re.findall(r"^  ExpirePostfix +(\w+) +(\S+)$", played.act(11), re.MULTILINE)
        assert told == [("desktop", "withdrawn"), ("worker", "replaced"), ("worker", "list-expired")]

    def test_shows_the_refusal_of_a_forged_list(self, played: Played):
        act = played.act(7)
        assert "(exit code 11)" in act
        assert len(re.findall(r"^  ERROR:.*changed after it was signed", act, re.MULTILINE)) == 1

    def test_shows_what_is_going_to_happen_and_why(self, played: Played):
        steps = re.findall(r"^  image\tpublish\t-\t(\w+)\t.*\tselected by hand$", played.act(5), re.MULTILINE)
        assert sorted(steps) == ["desktop", "worker"]

    def test_shows_that_all_is_well_and_that_the_proof_holds(self, played: Played):
        act = played.act(9)
        assert "  status\twell\t" in act
        answers = re.findall(r"^  (consistent|trusted then|signer|image file)\t(\w+)$", act, re.MULTILINE)
        assert [answer for _, answer in answers] == ["yes"] * 4

    def test_shows_no_digest_as_a_whole(self, played: Played):
        assert re.search(r"[0-9a-f]{64}", played.out) is None

    def test_shows_the_tree(self, played: Played):
        assert "  ├── subscriptions/\n  │   └── demo-list/\n" in played.act(11)


@pytest.mark.slow
class TestKept:
    def test_leaves_all_that_was_made(self, kept: Played):
        assert kept.code == 0, kept.err
        names = {path.name for path in kept.place.iterdir()}
        assert names == {"certificates", "endorser", "events.jsonl", "lists", "store", "worker.proof", "www"}
        assert list(kept.temporary.iterdir()) == []

    def test_key_is_the_owner_s_only(self, kept: Played):
        assert (kept.place / "endorser" / "key.pem").stat().st_mode & 0o777 == 0o600

    def test_store_works_on(self, kept: Played):
        environment = _environment(kept.temporary, VMCATCHER_STORE=str(kept.place / "store"))
        listing = subprocess.run(
            [BIN / "vmcatcher_image", "-l"], env=environment, capture_output=True, text=True, check=True
        )
        assert {line.split("\t")[0] for line in listing.stdout.splitlines()} == {"worker", "desktop", "builder", "gpu"}
        assert subprocess.run([PROGRAM, "store", "check", "--data"], env=environment, check=False).returncode == 0

    @_needs_openssl
    def test_authority_is_one_for_openssl_too(self, kept: Played):
        certificates = kept.place / "certificates"
        (anchor,) = certificates.glob("*.0")
        assert _openssl("x509", "-hash", "-noout", "-in", str(anchor)).strip() == anchor.stem
        endorser = str(kept.place / "endorser" / "cert.pem")
        verified = _openssl(
            "verify", "-purpose", "smimesign", "-x509_strict", "-crl_check", "-CApath", str(certificates), endorser
        )
        assert verified.endswith(": OK\n")

    @_needs_openssl
    def test_lists_are_signed_for_openssl_too_and_the_forged_one_is_not(self, kept: Played):
        options = ("-CApath", str(kept.place / "certificates"), "-purpose", "smimesign", "-in")
        for number in "1234":
            content = _openssl("cms", "-verify", *options, str(kept.place / "lists" / f"{number}.image_list"))
            assert content.replace("\r", "") == (kept.place / "lists" / f"{number}.json").read_text()
        with pytest.raises(subprocess.CalledProcessError):
            _openssl("cms", "-verify", *options, str(kept.place / "lists" / "1-forged.image_list"))

    @_needs_openssl
    def test_what_it_says_about_going_on_is_so(self, kept: Played, tmp_path: Path):
        place = tmp_path / "it's a copy"
        shutil.copytree(kept.place, place, symlinks=True)
        text = kept.out.partition("To go on by hand")[2].replace(_quoted(kept.place), _quoted(place))
        serve, *commands = re.findall(r"^  \$ (.*)$", text, re.MULTILINE)
        assert serve.endswith(" &")
        *daily, sign = commands
        port = re.search(r"http\.server (\d+)", serve)
        assert port
        script = [
            "trap 'kill $!' EXIT",
            f"{serve.removesuffix('&')} >/dev/null 2>&1 &",
            f"until (: </dev/tcp/127.0.0.1/{port[1]}) 2>/dev/null; do sleep 0.05; done",
            *daily,
            f'cd {_quoted(place)} && sed -i \'s/"hv:version": "4"/"hv:version": "5"/\' lists/4.json',
            sign,
            "vmcatcher_subscribe -U && vmcatcher_subscribe -i -u demo-list -f message",
        ]
        environment = _environment(tmp_path, PATH=f"{BIN}:{os.environ['PATH']}")
        done = subprocess.run(
            ["bash", "-ec", "\n".join(script)], env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "worker\tcached\tdemo-list\t" in done.stdout
        assert '"hv:version": "5"' in done.stdout


def _quoted(path: Path) -> str:
    return str(path).replace("'", "'\"'\"'").join("''")


def _openssl(*arguments: str) -> str:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=True).stdout


# -- what it refuses, and what it notices


def test_keep_does_not_touch_a_directory_with_something_in_it(tmp_path: Path):
    place = tmp_path / "place"
    place.mkdir()
    (place / "thesis.tex").write_text("dear reader")
    played = _play(tmp_path, "--keep", str(place))
    assert (played.code, played.out) == (1, "")
    assert "[demo-place-unusable]" in played.err
    assert [path.name for path in place.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("place", ["/dev/null", "/dev/null/below"])
def test_keep_where_nothing_can_be_made_is_refused(tmp_path: Path, place: str):
    played = _play(tmp_path, "--keep", place)
    assert (played.code, played.out) == (1, "")
    assert f"cannot be played in {place}" in played.err


@pytest.mark.slow
def test_handler_that_hears_nothing_is_noticed_and_ends_with_1(tmp_path: Path):
    """Without a PATH there is no `cat`: every command does its work, and the cloud is not told."""
    played = _play(tmp_path, PATH="/nonexistent")
    assert played.code == 1
    assert played.err.startswith("ERROR:main:act 6. Cache: events: ['ProcessPrefix', ")
    assert played.err.endswith(" [demo-surprise]\n")
    assert "Every step" not in played.out
    assert list(played.temporary.iterdir()) == []


class Troupe:
    """The real commands but for one call of one of them, which is done by `actor` instead."""

    def __init__(self, command: str, call: int, actor: Sequence[str]) -> None:
        self.command = command
        self.left = call
        self.actor = actor

    def find(self, name: str) -> list[str]:
        if name == self.command:
            self.left -= 1
            if self.left == 0:
                return [*self.actor, name]
        return installed_program(name)


@pytest.mark.parametrize(
    ("command", "call", "actor", "said"),
    [
        ("vmcatcher", 1, ["false"], "act 2. Say whom you trust: exit code of vmcatcher: 0 expected, 1"),
        ("vmcatcher", 1, ["/nonexistent"], "act 2. Say whom you trust: vmcatcher: a command that"),
        ("vmcatcher", 2, ["true"], "act 2. Say whom you trust: endorsers: "),
        ("vmcatcher_subscribe", 2, ["true"], "act 4. Update: states of the images: {'worker': 2, "),
        pytest.param(
            "vmcatcher",
            3,
            ["true"],
            "act 5. Select, and look ahead: states of the images: {'worker': 3, ",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "vmcatcher",
            4,
            ["true"],
            "act 5. Select, and look ahead: steps of the plan: ['publish desktop', ",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "vmcatcher_cache", 1, ["true"], "act 6. Cache: images in store/endorsed: ", marks=pytest.mark.slow
        ),
        pytest.param(
            "vmcatcher_subscribe",
            3,
            ["true"],
            "act 7. Somebody tampers with the list: exit code of vmcatcher_subscribe",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_step_that_did_not_do_what_the_story_says_is_named(
    tmp_path: Path, command: str, call: int, actor: list[str], said: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    told: list[str] = []
    troupe = Troupe(command, call, actor)
    with pytest.raises(DemoSurprise) as surprise:
        play(Voice(told.append, in_colour=False), dict(os.environ), find_program=troupe.find)
    assert str(surprise.value).startswith(said)
    assert surprise.value.exit_code == 1
    assert not any("Every step" in line for line in told)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_store_that_a_refused_list_changed_is_noticed(tmp_path: Path):
    """An update that refuses the forged list, as it should, and yet keeps something of it."""
    keep = tmp_path / "place"
    meddler = ["sh", "-c", f"touch '{keep}/store/quarantine/kept'; exit 11"]
    troupe = Troupe("vmcatcher_subscribe", 3, meddler)
    with pytest.raises(DemoSurprise, match=r"act 7.*files of the store"):
        play(Voice(lambda _: None, in_colour=False), dict(os.environ), keep=str(keep), find_program=troupe.find)


def test_place_is_refused_before_anything_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    told: list[str] = []
    with pytest.raises(DemoPlaceUnusable):
        play(Voice(told.append, in_colour=False), {}, keep=str(tmp_path))
    assert told == []


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demonstration that has said its first lines."""
    with subprocess.Popen(
        [PROGRAM, "demo"],
        env=_environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        assert child.stdout
        while "2. Say whom you trust" not in child.stdout.readline():
            assert child.poll() is None
        yield child


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 130, "interrupted")],
)
def test_interrupted_demo_leaves_nothing_behind(
    tmp_path: Path, running: subprocess.Popen[str], number: signal.Signals, code: int, word: str
):
    assert [path.name.startswith("vmcatcher-demo-") for path in tmp_path.iterdir()] == [True]
    os.killpg(running.pid, number)
    _, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (code, f"ERROR:main:{word}\n")
    assert list(tmp_path.iterdir()) == []


def test_reader_that_has_seen_enough_is_no_trouble(tmp_path: Path, running: subprocess.Popen[str]):
    assert running.stdout
    assert running.stderr
    running.stdout.close()
    assert running.stderr.read() == ""
    assert running.wait(30) == 0
    assert list(tmp_path.iterdir()) == []


# -- how it speaks


def test_colours_are_for_those_who_want_them():
    said: list[str] = []
    voice = Voice(said.append, in_colour=True)
    voice.title("A title")
    voice.command("true")
    voice.output(["plain\tas it is\x1b[2J"])
    assert said == ["", "\x1b[1mA title\x1b[0m", "  \x1b[36m$ true\x1b[0m", "  plain\tas it is\\x1b[2J"]


@pytest.mark.parametrize(
    ("environment", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_terminal_gets_colours_unless_it_asks_for_none(tmp_path: Path, environment: dict[str, str], is_coloured: bool):
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PROGRAM, "demo"], env=_environment(tmp_path, **{"TERM": "xterm", **environment}), stdout=theirs
    ) as child:
        os.close(theirs)
        shown = b""
        while b"2. Say whom you trust" not in shown:
            shown += os.read(ours, 4096)
        child.terminate()
    os.close(ours)
    assert (b"\x1b[1m2. Say whom you trust" in shown) is is_coloured


def test_command_is_found_where_no_script_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").symlink_to(BIN / "python")
    for name in ("vmcatcher", "vmcatcher_cache"):
        program = installed_program(name)
        assert program[0] == str(tmp_path / "python")
        done = subprocess.run(
            [str(BIN / "python"), *program[1:], "--version"],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.startswith(f"{name} ")


def test_list_exchanged_within_a_second_is_served_anew(tmp_path: Path):
    """A file's time is good to a second: an update must not be told that nothing has changed."""
    now = datetime.now(UTC)
    publisher = Publisher(tmp_path / "www", tmp_path / "lists", make_grid(tmp_path / "ca", tmp_path / "keys", now))
    try:
        publisher.publish(1, (), now, now)
        request = urllib.request.Request(publisher.list_url, headers={"If-Modified-Since": format_datetime(now, True)})
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
    finally:
        publisher.stop()
    publisher.stop()


def test_contrib_demo_passes_its_flags_on(tmp_path: Path):
    """With an environment that is there already; what makes it has to reach a package index."""
    contrib, place = tmp_path / "contrib", tmp_path / "bin"
    contrib.mkdir()
    place.mkdir()
    shutil.copy(ROOT / "contrib" / "demo", contrib)
    for script, text in (
        (contrib / "environment", f'[ "$1" = run ] && echo "{place}/python"'),
        (place / "vmcatcher", 'printf "%s|" "$@"'),
    ):
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
    done = subprocess.run([contrib / "demo", "--keep", "a b", "-v"], capture_output=True, text=True, check=True)
    assert done.stdout == "demo|--keep|a b|-v|"


def test_port_is_free_again_after_a_surprise(tmp_path: Path):
    told: list[str] = []
    with pytest.raises(DemoSurprise):
        play(Voice(told.append, in_colour=False), dict(os.environ), find_program=lambda _: ["false"])
    port = re.search(r"port (\d+)", " ".join(told))
    assert port
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port[1]))) != 0
