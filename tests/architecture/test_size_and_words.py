"""Rooms stay small, say what they are for, and speak the words of docs/explanation/concepts.md."""

from __future__ import annotations

import ast
import re

import pytest

from architecture.source import Module, functions, modules

_FUNCTION_LINES = 40  # the docstring not counted
_MODULE_LINES = 300
_PARAMETERS = 6

# `module:function` or `module` -> why it is longer. Never above half as much again.
_LONGER: dict[str, str] = {
    "vmcatcher.store.files": "every system call that changes the tree, to be read side by side",
    "vmcatcher.cli.commands.rules:set_up": "a line for each flag, twice",
}


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def _sizes() -> dict[str, tuple[int, int]]:
    sizes = {module.name: (module.text.count("\n"), _MODULE_LINES) for module in modules()}
    for module in modules():
        for name, function in functions(module.tree):
            sizes[f"{module.name}:{name}"] = (_body_lines(function), _FUNCTION_LINES)
    return sizes


def test_modules_and_functions_are_one_room_and_one_job() -> None:
    too_long = {
        name: f"{lines} lines, at most {allowed}"
        for name, (lines, limit) in _sizes().items()
        if lines > (allowed := limit * 3 // 2 if name in _LONGER else limit)
    }
    assert not too_long


def test_every_exception_from_the_size_rule_is_still_needed() -> None:
    sizes = _sizes()
    idle = [name for name in _LONGER if name not in sizes or sizes[name][0] <= sizes[name][1]]
    assert not idle


def test_functions_take_few_parameters() -> None:
    greedy = {
        f"{module.where(function)} {name}": count
        for module in modules()
        for name, function in functions(module.tree)
        if (count := _parameter_count(function)) > _PARAMETERS and f"{module.name}:{name}" not in _MORE_PARAMETERS
    }
    assert not greedy


# typer reads a command's flags from its parameters: the functions of cli are tables, not code.
_MORE_PARAMETERS: dict[str, str] = {
    "vmcatcher.cli.commands.store_import:import_db": "one for each flag",
    "vmcatcher.cli.commands.store_prune:prune": "likewise",
    "vmcatcher.cli.commands.rules:set_up": "likewise",
    "vmcatcher.cli.commands.subscription:add": "likewise",
    "vmcatcher.cli.commands.common:command": "what a command may have, each by its name",
}


def _parameter_count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    names = [word.arg for word in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return len([name for name in names if name not in {"self", "cls"}])


def _public_definitions(module: Module) -> list[ast.AST]:
    found: list[ast.AST] = [module.tree]
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            found.append(node)
            if isinstance(node, ast.ClassDef):
                found += [
                    part for part in node.body if isinstance(part, ast.FunctionDef) and not part.name.startswith("_")
                ]
    return found


def test_every_public_thing_says_what_the_caller_gets() -> None:
    silent = [
        f"{module.where(node)} {getattr(node, 'name', 'module')}"
        for module in modules()
        for node in _public_definitions(module)
        if not ast.get_docstring(node) and not _is_overload(node)  # type: ignore[arg-type]  # only defs and modules here
    ]
    assert not silent


def _is_overload(node: ast.AST) -> bool:
    return any(
        getattr(word, "id", getattr(word, "attr", "")) == "overload" for word in getattr(node, "decorator_list", [])
    )


def test_every_module_postpones_annotations() -> None:
    lacking = [
        module.name
        for module in modules()
        if any(not _is_docstring(node) for node in module.tree.body)
        and "from __future__ import annotations" not in module.text
    ]
    assert not lacking


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def test_nothing_is_left_undone() -> None:
    left = [
        f"{module.path.name}:{number}: {line.strip()}"
        for module in modules()
        for number, line in enumerate(module.text.splitlines(), start=1)
        if re.search(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b", line)
    ]
    assert not left


def test_every_suppression_carries_its_reason() -> None:
    """`# noqa: X` and the like end in words, or in `likewise` below one that does."""
    bare = [
        f"{module.path.name}:{number}: {line.strip()}"
        for module in modules()
        for number, line in enumerate(module.text.splitlines(), start=1)
        if (found := re.search(r"#\s*(noqa|type: ignore|pragma: no)\b(.*)", line)) and not _gives_reason(found[2])
    ]
    assert not bare


def _gives_reason(rest: str) -> bool:
    words = re.sub(r"^[:\s]*(\[[\w\-, ]*\]|cover|branch|[A-Z]+\d+([,\s]+[A-Z]+\d+)*)?", "", rest)
    return "likewise" in words or len(re.findall(r"[A-Za-z]{2,}", words)) >= 2


_VAGUE = re.compile(r"(^|_)(utils?|managers?|helpers?|data|process)(_|$)", re.IGNORECASE)


@pytest.mark.parametrize("kind", ["modules", "functions", "classes"])
def test_names_are_words_of_the_field(kind: str) -> None:
    vague = [name for name in _names(kind) if _VAGUE.search(_snake(name.rpartition(".")[2]))]
    assert not vague


def _names(kind: str) -> list[str]:
    if kind == "modules":
        return [module.name for module in modules()]
    if kind == "functions":
        return [f"{module.name}.{name}" for module in modules() for name, _ in functions(module.tree)]
    return [
        f"{module.name}.{node.name}" for module in modules() for node in module.nodes if isinstance(node, ast.ClassDef)
    ]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
