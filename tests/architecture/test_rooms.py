"""Each dangerous thing is done in one room of the program. Exceptions are listed with their reason."""

from __future__ import annotations

import ast
import builtins
from fnmatch import fnmatch

import pytest

from architecture.source import Module, is_in, modules

# What is done (names as imported, `*` allowed) -> where it may be done, and why there.
_FILE_CHANGES = (
    "os.chmod", "os.chown", "os.copy_file_range", "os.fchmod", "os.fchown", "os.fdatasync", "os.fsync", "os.lchown",
    "os.link", "os.makedirs", "os.mkdir", "os.mkfifo", "os.posix_fallocate", "os.remove", "os.removedirs",
    "os.rename", "os.renames", "os.replace", "os.rmdir", "os.symlink", "os.sync", "os.unlink",
    "os.utime", "shutil.chown", "shutil.copy*", "shutil.move", "shutil.rmtree", "tempfile.*",
)  # fmt: skip
_FILE_WRITES = (
    "os.O_APPEND",
    "os.O_CREAT",
    "os.O_RDWR",
    "os.O_TRUNC",
    "os.O_WRONLY",
    "os.ftruncate",
    "os.truncate",
    "os.write",
    "os.writev",
    "os.pwrite",
)
_PROCESSES = (
    "asyncio.create_subprocess*", "multiprocessing.*", "os.exec*", "os.fork*", "os.killpg", "os.popen",
    "os.posix_spawn*", "os.spawn*", "os.system", "pty.*", "subprocess.*",
)  # fmt: skip
_ENVIRONMENT = ("os.environ*", "os.getenv*", "os.putenv", "os.unsetenv")

_RULES: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "changes of the file tree": (
        _FILE_CHANGES,
        {
            "vmcatcher.store.files": "the one module that renames, links, unlinks and fsyncs",
            "vmcatcher.demo": "builds a publisher's directory, which is no store",
        },
    ),
    "files opened for writing": (
        _FILE_WRITES,
        {
            "vmcatcher.store.files": "the one module that writes into the store",
            "vmcatcher.store.locks": "a lock file is written in place by whoever holds the lock",
            "vmcatcher.cli": "-o FILE and /dev/null: the operator's own streams",
            "vmcatcher.demo": "builds a publisher's directory, which is no store",
        },
    ),
    "other programs": (
        _PROCESSES,
        {
            "vmcatcher.hooks": "runs the operator's event handlers",
            "vmcatcher.demo": "plays several machines on one",
        },
    ),
    "the environment": (
        _ENVIRONMENT,
        {
            "vmcatcher.settings": "flags over environment over file over default, in one place",
            "vmcatcher.cli.classic.handler_example": "an event handler is told everything in variables",
        },
    ),
    "the clock": (
        (
            "time.time*",
            "datetime.datetime.now",
            "datetime.datetime.utcnow",
            "datetime.datetime.today",
            "datetime.date.today",
        ),
        {
            "vmcatcher.wiring": "the one clock, handed to everything below",
            "vmcatcher.cli": "asks for the time once per call",
            "vmcatcher.demo": "signs lists that hold from now on",
        },
    ),
    "logging set up": (
        ("logging.basicConfig", "logging.config*", "logging.*Handler", "logging.handlers*", "logging.disable"),
        {"vmcatcher.cli": "the operator's flags decide; a library that configures logging surprises its caller"},
    ),
    "standard streams": (
        ("sys.stdout*", "sys.stderr*", "sys.stdin*"),
        {"vmcatcher.cli": "results to stdout, everything else to stderr, decided in one room"},
    ),
    "the end of the program": (
        ("sys.exit", "os._exit", "os.abort"),
        {"vmcatcher.cli": "use cases return; only a command line ends"},
    ),
}


@pytest.mark.parametrize("what", _RULES)
def test_dangerous_thing_is_done_in_its_room_only(what: str) -> None:
    patterns, rooms = _RULES[what]
    strays = [
        f"{module.where(node)}: {name}"
        for module in modules()
        if not is_in(module.name, rooms)
        for name, node in module.references
        if any(fnmatch(name, pattern) for pattern in patterns)
    ]
    assert not strays, f"{what} outside {', '.join(rooms)}"


_PATH_CHANGES = frozenset(
    {"chmod", "hardlink_to", "mkdir", "rmdir", "symlink_to", "touch", "unlink", "write_bytes", "write_text"}
)


def test_no_path_object_changes_a_file() -> None:
    rooms = _RULES["changes of the file tree"][1]
    strays = [
        f"{module.where(node)}: .{node.func.attr}()"
        for module in modules()
        if not is_in(module.name, rooms)
        for node in module.nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _PATH_CHANGES
    ]
    assert not strays


# Where a file is opened for writing by name. `-o FILE` and the example handler's output are the operator's own files.
_OPENERS = {
    "vmcatcher.store.files": "the store",
    "vmcatcher.store.locks": "the holder's name in a lock file",
    "vmcatcher.cli": "-o FILE: the operator names a file outside the store",
    "vmcatcher.demo": "a publisher's directory, which is no store",
}


def test_files_are_opened_for_writing_in_their_rooms_only() -> None:
    strays = [
        module.where(node)
        for module in modules()
        if not is_in(module.name, _OPENERS)
        for node in module.nodes
        if isinstance(node, ast.Call) and _opens_for_writing(node)
    ]
    assert not strays


def test_every_exception_is_for_a_module_that_is_there() -> None:
    """`vmcatcher.demo` apart, which is not part of every installation."""
    listed = {room for _, rooms in _RULES.values() for room in rooms} | set(_OPENERS) | set(_CATCH_ALL)
    listed |= {entry.partition(":")[0] for entry in _RAISED_INSIDE}
    there = {module.name for module in modules()} | {"vmcatcher.demo"}
    assert listed <= there


def _opens_for_writing(call: ast.Call) -> bool:
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    if name not in {"open", "fdopen"}:
        return False
    words = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    modes = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    return any(set(mode) <= set("rwxabt+") and set(mode) & set("wxa+") for mode in modes)


def _calls_of(name: str) -> list[tuple[Module, ast.Call]]:
    return [
        (module, node)
        for module in modules()
        for node in module.nodes
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == name
    ]


def test_verified_list_is_built_in_the_verification_only() -> None:
    strays = [
        module.where(node) for module, node in _calls_of("VerifiedList") if module.name != "vmcatcher.trust.verify"
    ]
    assert not strays


def test_print_is_called_by_command_lines_only() -> None:
    strays = [module.where(node) for module, node in _calls_of("print") if not is_in(module.name, {"vmcatcher.cli"})]
    assert not strays


def test_shell_is_used_for_the_handler_s_command_line_only() -> None:
    strays = [
        module.where(node)
        for module in modules()
        if module.name != "vmcatcher.hooks"
        for node in module.nodes
        if isinstance(node, ast.keyword) and node.arg == "shell" and not _is_name_of_one(node.value)
    ]
    assert not strays


def _is_name_of_one(value: ast.expr) -> bool:
    """Tell whether a value says which shell, as in `shell.value`: nothing is run by it."""
    return isinstance(value, ast.Attribute) and value.attr == "value"


# Where anything at all may be caught, and why.
_CATCH_ALL: dict[str, str] = {
    "vmcatcher.cli": "the border: an unforeseen exception becomes one line and exit code 70",
    "vmcatcher.trust.shield": "the cryptography library raises many things over hostile bytes, panics among them",
    "vmcatcher.services.crew": "what is raised in a thread is raised again in the caller's, where it belongs",
    "vmcatcher.services.ahead": "likewise, for lists that are fetched ahead",
}


def test_everything_is_caught_at_the_border_only() -> None:
    strays = [
        module.where(node)
        for module in modules()
        if not is_in(module.name, _CATCH_ALL)
        for node in module.nodes
        if isinstance(node, ast.ExceptHandler) and _catches_everything(node) and not _raises_again(node)
    ]
    assert not strays


def _catches_everything(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"} for kind in kinds)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Tell whether the handler tidies up and ends in a bare `raise`: nothing is swallowed then."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


_FOREIGN = frozenset(
    name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, Exception)
) - {"NotImplementedError", "AssertionError", "StopIteration"}


def test_built_in_exceptions_are_turned_into_ours() -> None:
    strays = [
        f"{module.where(node)}: {_raised(node)}"
        for module in modules()
        for node in module.nodes
        if isinstance(node, ast.Raise)
        and _raised(node) in _FOREIGN
        and f"{module.name}:{_raised(node)}" not in _RAISED_INSIDE
    ]
    assert not strays


# `module:exception` -> who turns it into one of ours.
_RAISED_INSIDE: dict[str, str] = {
    "vmcatcher.model.instant:ValueError": "as datetime's own parser; whoever parses a field names the field",
    "vmcatcher.cli.classic.handler_example:OSError": "a short write, joined to what the operating system reports",
    "vmcatcher.settings:ValueError": "caught where the file is read, together with the TOML parser's",
    "vmcatcher.store.index:ValueError": "an index that does not parse is made again",
}


def _raised(node: ast.Raise) -> str:
    target = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return getattr(target, "id", "")
