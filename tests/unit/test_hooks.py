"""Event handlers, well-behaved and not: real ones, run by a real shell."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vmcatcher.errors import OperatorError
from vmcatcher.errors.hooks import HandlerUnusable
from vmcatcher.hooks import MOST_OUTPUT, HookOutcome, HookRunner

_LOG_JSON = Path(__file__).parents[2] / "contrib" / "event-handlers" / "log-json"
_LONG = 30.0


def run(command, variables=None, document=None, *, environment=None, timeout_s=_LONG, grace_s=0.3):
    base = dict(os.environ) if environment is None else environment
    runner = HookRunner(command, timeout_s=timeout_s, grace_s=grace_s, base_environment=base)
    return runner.run(variables or {}, document or {})


def environment_of(outcome):
    """Return what `env -0` printed."""
    pairs = (entry.partition(b"=") for entry in outcome.output.split(b"\0") if entry)
    return {name.decode(): value for name, _, value in pairs}


def wait_until(condition, *, within_s=10.0):
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def is_alive(pid):
    """Tell whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children():
    """Return the processes that are ours to wait for, zombies included."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended while we were looking
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(stat.parent.name)
    return found


# --- how it ends


def test_handler_that_exits_with_zero_has_taken_the_event():
    outcome = run("true")
    assert outcome == HookOutcome(0, False, None, outcome.duration_s, b"", False)
    assert outcome.delivered
    assert 0 < outcome.duration_s < _LONG


@pytest.mark.parametrize(
    ("command", "status"),
    [("exit 1", 1), ("exit 255", 255), ("/nonexistent/handler x", 127), ("no-such-command", 127), ("if", 2)],
)
def test_fault_97_handler_that_fails_has_not_taken_the_event(command, status):
    outcome = run(command)
    assert (outcome.exit_status, outcome.signal, outcome.timed_out) == (status, None, False)
    assert not outcome.delivered


def test_fault_97_handler_that_is_not_executable_has_not_taken_the_event(tmp_path):
    handler = tmp_path / "handler"
    handler.write_text("#!/bin/sh\n")
    handler.chmod(0o644)
    outcome = run(f"{handler}")
    assert outcome.exit_status == 126
    assert b"ermission denied" in outcome.output


def test_fault_97_handler_that_dies_of_a_signal_says_which():
    outcome = run("kill -KILL $$")
    assert (outcome.exit_status, outcome.signal, outcome.timed_out) == (None, signal.SIGKILL, False)
    assert not outcome.delivered


@pytest.mark.parametrize(("command", "why"), [("", "empty"), (" \n", "empty"), ("true\0; false", "NUL")])
def test_command_that_no_shell_can_be_given_is_refused_at_once(command, why):
    with pytest.raises(HandlerUnusable, match=why) as caught:
        HookRunner(command, base_environment={})
    assert isinstance(caught.value, OperatorError)


def test_command_longer_than_any_exec_takes_is_an_outcome():
    outcome = run("true " + "x" * 200_000)
    assert outcome.exit_status == 126
    assert outcome.output == b"/bin/sh cannot be started: Argument list too long"
    assert not outcome.delivered


def test_lack_of_descriptors_is_an_outcome():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    runner = HookRunner("true", base_environment={})
    used = os.dup(0)
    os.close(used)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
    try:
        outcome = runner.run({}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert outcome.exit_status == 126
    assert outcome.output == b"/bin/sh cannot be started: Too many open files"


def test_one_runner_runs_any_number_of_events():
    runner = HookRunner('echo "$VMCATCHER_EVENT_TYPE"', base_environment={})
    outputs = [runner.run({"VMCATCHER_EVENT_TYPE": kind}, {}).output for kind in ("a", "b")] + [
        runner.run({}, {}).output
    ]
    assert outputs == [b"a\n", b"b\n", b"\n"]


def test_runs_leave_no_descriptor_and_no_child_behind():
    before = os.listdir("/proc/self/fd"), children()
    for command in ("true", "exec >&- 2>&-", "sleep 5 & true"):
        run(command, document={"x": "y" * 200_000})
    run("sleep 5", timeout_s=0.1, grace_s=0.1)
    assert (os.listdir("/proc/self/fd"), children()) == before


# --- what it is told


def test_command_is_a_shell_command_line_in_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run('echo "$PWD" | sed "s/^/in /" > told; exit 0').delivered
    assert (tmp_path / "told").read_text() == f"in {tmp_path}\n"


def test_environment_is_the_given_one_and_the_variables(monkeypatch):
    monkeypatch.setenv("NOT_GIVEN", "x")
    outcome = run(
        "/usr/bin/env -0",
        {"VMCATCHER_EVENT_TYPE": "AvailablePostfix", "VMCATCHER_CACHE_DIR_CACHE": "cache"},
        environment={"PATH": "/bin", "VMCATCHER_CACHE_DIR_CACHE": "other", "VMCATCHER_RDBMS": "sqlite:///x.db"},
    )
    found = environment_of(outcome)
    assert found.pop("PWD") == os.fsencode(Path.cwd())  # the shell's own
    assert found == {
        "PATH": b"/bin",
        "VMCATCHER_EVENT_TYPE": b"AvailablePostfix",
        "VMCATCHER_CACHE_DIR_CACHE": b"cache",
        "VMCATCHER_RDBMS": b"sqlite:///x.db",
    }


def test_variables_of_an_outer_event_are_not_passed_on():
    outer = {"VMCATCHER_EVENT_TYPE": "ExpirePostfix", "VMCATCHER_EVENT_VO": "secret.vo", "VMCATCHER_STORE": "/s"}
    found = environment_of(run("/usr/bin/env -0", {"VMCATCHER_EVENT_TYPE": "ProcessPrefix"}, environment=outer))
    assert found["VMCATCHER_EVENT_TYPE"] == b"ProcessPrefix"
    assert "VMCATCHER_EVENT_VO" not in found
    assert found["VMCATCHER_STORE"] == b"/s"


@pytest.mark.parametrize(
    "name", ["PATH", "LD_PRELOAD", "IFS", "vmcatcher_event_x", "VMCATCHER_A=B", "VMCATCHER_Ü", "VMCATCHER_A\n"]
)
def test_variable_of_another_name_is_left_out(name, caplog):
    found = environment_of(run("/usr/bin/env -0", {name: "injected"}, environment={}))
    assert b"injected" not in found.values()
    assert "left out" in caplog.text


def test_value_with_a_nul_is_left_out_and_the_others_are_told(caplog):
    variables = {"VMCATCHER_EVENT_DC_TITLE": "a\0b", "VMCATCHER_EVENT_TYPE": "x"}
    found = environment_of(run("/usr/bin/env -0", variables))
    assert "VMCATCHER_EVENT_DC_TITLE" not in found
    assert found["VMCATCHER_EVENT_TYPE"] == b"x"
    assert "VMCATCHER_EVENT_DC_TITLE" in caplog.text


@pytest.mark.parametrize(
    "value",
    [
        "$(touch INJECTED)",
        "`touch INJECTED`",
        "; touch INJECTED;",
        "() { :;}; touch INJECTED",
        "a\nb\tc'\"\\",
        "Größe",
        "==",
    ],
)
def test_value_reaches_the_handler_unchanged_and_is_never_run(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run('printf %s "$VMCATCHER_EVENT_DC_TITLE"', {"VMCATCHER_EVENT_DC_TITLE": value})
    assert outcome.output.decode() == value
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("value", "told"), [("/d\udcff\udc80", b"/d\xff\x80"), ("half \ud800", b"half ?")])
def test_value_that_is_no_unicode_reaches_the_handler_all_the_same(value, told):
    name = "VMCATCHER_CACHE_DIR_CACHE"
    assert environment_of(run("/usr/bin/env -0", {name: value}))[name] == told


def test_name_from_the_file_system_keeps_its_bytes_in_the_base_environment():
    assert environment_of(run("/usr/bin/env -0", environment={"D": "/d\udcff"}))["D"] == b"/d\xff"


def test_base_environment_that_no_exec_takes_is_left_out():
    outcome = run("/usr/bin/env -0", environment={"A": "x\0y", "B": "z"})
    assert "A" not in environment_of(outcome)
    assert environment_of(outcome)["B"] == b"z"


def test_value_beyond_what_an_exec_takes_is_cut_between_characters(tmp_path):
    name = "VMCATCHER_EVENT_DC_DESCRIPTION"
    outcome = run(
        'printf %s "$VMCATCHER_EVENT_DC_DESCRIPTION" > ' + str(tmp_path / "told"), {name: "x" + "ü" * 200_000}
    )
    assert outcome.delivered
    told = (tmp_path / "told").read_bytes()
    assert 128 * 1024 - len(name) - 4 <= len(told) <= 128 * 1024 - len(name) - 2
    assert told.decode() == "x" + "ü" * (len(told) // 2)


def test_longest_value_that_an_exec_takes_is_not_cut(tmp_path):
    name = "VMCATCHER_EVENT_DC_DESCRIPTION"
    value = "x" * (128 * 1024 - len(name) - 2)
    assert run('printf %s "$VMCATCHER_EVENT_DC_DESCRIPTION" > ' + str(tmp_path / "told"), {name: value}).delivered
    assert (tmp_path / "told").read_text() == value


def test_many_long_values_are_cut_shorter_rather_than_not_told():
    variables = {f"VMCATCHER_EVENT_X{number}": "x" * 130_000 for number in range(100)}
    outcome = run('echo "${#VMCATCHER_EVENT_X0} ${#VMCATCHER_EVENT_X99}"', variables)
    assert outcome.delivered
    assert 4000 < int(outcome.output.split()[0]) < 4096


def test_document_is_one_line_of_json_on_standard_input():
    document = {"b": "Größe\n\ud800", "a": [1, None, {"x": True}]}
    outcome = run("cat", document=document)
    assert outcome.output.count(b"\n") == 1
    assert outcome.output.isascii()
    assert list(json.loads(outcome.output)) == ["a", "b"]
    assert json.loads(outcome.output) == document


def test_document_larger_than_any_pipe_arrives_whole(tmp_path):
    document = {"x": "y" * 3_000_000}
    assert run(f"sleep 0.1; cat > {tmp_path}/told", document=document).delivered
    assert json.loads((tmp_path / "told").read_bytes()) == document


def test_document_and_output_larger_than_any_pipe_do_not_wait_for_each_other():
    outcome = run(
        "head -c 1000000 /dev/zero; cat > /dev/null; head -c 1000000 /dev/zero", document={"x": "y" * 1_000_000}
    )
    assert outcome.delivered
    assert outcome.truncated


@pytest.mark.parametrize(
    "command",
    ["true", "exec <&-; sleep 0.1", "head -c 1 > /dev/null; sleep 0.1", "sleep 0.1", "exec <&- >&- 2>&-; sleep 0.1"],
)
@pytest.mark.parametrize("size", [1, 1_000_000])
def test_handler_need_not_read_its_input(command, size):
    outcome = run(command, document={"x": "y" * size})
    assert outcome.delivered
    assert outcome.output == b""


def test_fault_99_handler_inherits_no_descriptor_but_the_three():
    inheritable = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inheritable, True)
    try:
        outcome = run("ls -l /proc/$$/fd")
    finally:
        os.close(inheritable)
    numbers = {line.split(b" -> ")[0].split()[-1] for line in outcome.output.splitlines()[1:]}
    assert numbers == {b"0", b"1", b"2"}


def test_handler_has_a_session_of_its_own():
    fields = run("cat /proc/$$/stat").output.rpartition(b")")[2].split()
    group, session = int(fields[2]), int(fields[3])
    assert group == session
    assert session != os.getsid(0)


# --- what it writes


def test_stdout_and_stderr_are_kept_in_the_order_written():
    outcome = run("echo one; echo two >&2; echo three")
    assert (outcome.output, outcome.truncated) == (b"one\ntwo\nthree\n", False)


@pytest.mark.parametrize(
    ("size", "truncated"), [(MOST_OUTPUT - 1, False), (MOST_OUTPUT, False), (MOST_OUTPUT + 1, True)]
)
def test_output_is_kept_up_to_64_kib(size, truncated):
    outcome = run(f"head -c {size} /dev/zero")
    assert (len(outcome.output), outcome.truncated) == (min(size, MOST_OUTPUT), truncated)
    assert outcome.delivered


def test_fault_96_flood_of_output_is_dropped_without_keeping_it():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = run("printf first; head -c 300000000 /dev/zero")
    assert outcome.delivered
    assert outcome.truncated
    assert outcome.output == b"first" + bytes(MOST_OUTPUT - 5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024


def test_fault_95_child_left_behind_with_the_output_open_is_not_waited_for(tmp_path):
    outcome = run(f"echo told; sleep 60 & echo $! > {tmp_path}/pid", timeout_s=20)
    pid = int((tmp_path / "pid").read_text())
    try:
        assert outcome.delivered
        assert outcome.output == b"told\n"
        assert outcome.duration_s < 10
        assert is_alive(pid)  # a handler may spool and work later
    finally:
        os.kill(pid, signal.SIGKILL)


def test_fault_95_fault_96_child_left_behind_that_writes_for_ever_is_not_waited_for(tmp_path):
    outcome = run(f"yes & echo $! > {tmp_path}/pid; sleep 0.1", timeout_s=20)
    pid = int((tmp_path / "pid").read_text())
    assert outcome.delivered
    assert outcome.truncated
    wait_until(lambda: not is_alive(pid))  # it writes where nobody reads


# --- when it takes too long


def test_fault_94_handler_that_hangs_is_ended_at_its_limit():
    outcome = run("echo begun; sleep 60", timeout_s=0.9)
    assert (outcome.timed_out, outcome.exit_status, outcome.signal) == (True, None, signal.SIGTERM)
    assert outcome.output == b"begun\n"
    assert not outcome.delivered
    assert 0.9 <= outcome.duration_s < 5


def test_fault_94_handler_that_ignores_the_first_signal_is_killed_after_the_grace_time():
    outcome = run("trap '' TERM; sleep 60; sleep 60", timeout_s=0.9, grace_s=0.3)
    assert (outcome.timed_out, outcome.signal) == (True, signal.SIGKILL)
    assert 1.2 <= outcome.duration_s < 5


def test_handler_may_tidy_up_in_the_grace_time_but_has_not_taken_the_event():
    outcome = run("trap 'sleep 0.1; echo tidied; exit 0' TERM; sleep 60 & wait", timeout_s=0.9, grace_s=5)
    assert (outcome.timed_out, outcome.exit_status, outcome.output) == (True, 0, b"tidied\n")
    assert not outcome.delivered
    assert outcome.duration_s < 4


@pytest.mark.parametrize("ignored", ["", "trap '' TERM; "])
def test_fault_94_whole_group_is_ended_with_the_handler(tmp_path, ignored):
    inner = f"{ignored}echo $$ > {tmp_path}/pid; sleep 60; sleep 60"
    (tmp_path / "inner").write_text(inner)
    outcome = run(f"sh {tmp_path}/inner & wait", timeout_s=1.2)
    assert outcome.timed_out
    # A signal is sent, not delivered, when the run returns.
    wait_until(lambda: not is_alive(int((tmp_path / "pid").read_text())))
    assert outcome.duration_s < 5


def test_group_that_outlives_the_handler_has_the_grace_time_too(tmp_path):
    (tmp_path / "inner").write_text(
        f"trap 'sleep 0.2; echo x > {tmp_path}/tidied; exit' TERM; while :; do sleep 0.05; done"
    )
    outcome = run(f"sh {tmp_path}/inner & sleep 60", timeout_s=1.2, grace_s=5)
    assert outcome.timed_out
    assert (tmp_path / "tidied").exists()
    assert outcome.duration_s < 5


def test_handler_that_closed_its_pipes_and_hangs_is_ended_at_its_limit():
    outcome = run("exec <&- >&- 2>&-; sleep 60", timeout_s=0.9)
    assert (outcome.timed_out, outcome.signal) == (True, signal.SIGTERM)


def test_fault_94_fault_96_handler_that_floods_for_ever_is_ended_at_its_limit():
    outcome = run("yes", timeout_s=0.9)
    assert outcome.timed_out
    assert len(outcome.output) == MOST_OUTPUT


def test_limit_is_measured_with_the_given_clock():
    ticks = iter(range(0, 10_000, 10))
    runner = HookRunner("sleep 60", timeout_s=15, grace_s=15, base_environment={}, clock=lambda: float(next(ticks)))
    outcome = runner.run({}, {})
    assert outcome.timed_out
    assert outcome.duration_s >= 15


def test_interrupt_ends_the_handler_at_once(tmp_path):
    program = (
        "from vmcatcher.hooks import HookRunner\n"
        f"HookRunner('echo $$ > {tmp_path}/pid; sleep 60; true', timeout_s=60, base_environment={{}}).run({{}}, {{}})\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, env=_python_environment())
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    caller.send_signal(signal.SIGINT)
    _, errors = caller.communicate(timeout=20)
    assert b"KeyboardInterrupt" in errors
    # A signal is sent, not delivered, when the run returns.
    wait_until(lambda: not is_alive(int((tmp_path / "pid").read_text())))


@pytest.mark.root
@pytest.mark.filterwarnings("ignore:subprocess:ResourceWarning")
def test_handler_that_cannot_be_killed_is_given_up(tmp_path):
    finished = []
    runner = HookRunner(
        f"trap '' TERM; echo $$ > {tmp_path}/pid; sleep 60; true", timeout_s=1, grace_s=0.1, base_environment={}
    )
    caller = threading.Thread(target=lambda: finished.append(runner.run({}, {})))
    caller.start()
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    os.setresuid(65534, 65534, 0)  # from here on its signals are refused, as those to a handler under sudo
    try:
        caller.join(20)
    finally:
        os.setresuid(0, 0, 0)
    pid = int((tmp_path / "pid").read_text())
    try:
        assert is_alive(pid)
        (outcome,) = finished
        assert (outcome.timed_out, outcome.exit_status, outcome.signal) == (True, None, None)
        assert not outcome.delivered
    finally:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _python_environment():
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}


# --- the handler that we ship


def test_log_json_appends_one_line_for_each_event(tmp_path):
    events = tmp_path / "events.json"
    documents = [{"VMCATCHER_EVENT_TYPE": "AvailablePostfix", "n": number, "x": "y" * 200_000} for number in range(3)]
    for document in documents:
        assert run(f"{_LOG_JSON} {events}", document=document).delivered
    assert [json.loads(line) for line in events.read_text().splitlines()] == documents


def test_log_json_at_the_same_time_keeps_lines_whole(tmp_path):
    events = tmp_path / "events.json"
    callers = [
        threading.Thread(target=run, args=(f"{_LOG_JSON} {events}", {}, {"n": number, "x": str(number) * 100_000}))
        for number in range(8)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sorted(json.loads(line)["n"] for line in events.read_text().splitlines()) == list(range(8))


def test_log_json_says_what_is_wrong(tmp_path):
    outcome = run(f"{_LOG_JSON}")
    assert (outcome.exit_status, outcome.output) == (2, b"usage: log-json FILE\n")
    assert not run(f"{_LOG_JSON} {tmp_path}/missing/events.json").delivered
