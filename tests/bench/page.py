"""What was measured as the tables of docs/explanation/performance.md, ready to be put there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bench.measuring import Goal, Measured

_SCALE = "scale-"


def page(said: str, measured: Sequence[Measured]) -> str:
    """Return the circumstances, the goals, the figures, and how cost grows with the store, as Markdown."""
    plain = [one for one in measured if not one.row.name.startswith(_SCALE)]
    growing = [one for one in measured if one.row.name.startswith(_SCALE)]
    parts = ["\n".join(f"- {line}" for line in said.splitlines())]
    goals = list(_goals(plain))
    if goals:
        parts.append(_table(("row", "goal", "found", "held"), "lllc", goals))
    if plain:
        parts.append(_table(("row", "who", "wall s", "CPU s", "peak MiB"), "llrrr", _figures(plain)))
    if growing:
        parts.append(_growth(growing))
    return "\n\n".join(parts) + "\n"


def _goals(measured: Iterable[Measured]) -> Iterator[tuple[str, ...]]:
    for one in measured:
        for goal in one.row.goals:
            found = one.found(goal)
            verdict = "–" if found is None else "yes" if found <= goal.at_most else "**no**"
            yield f"`{one.row.name}`", _wanted(goal), "–" if found is None else _found(goal, found), verdict


def _wanted(goal: Goal) -> str:
    figure = {"wall_s": "wall", "cpu_s": "CPU", "peak_mib": "peak"}[goal.figure]
    if goal.reference is not None:
        return f"{goal.ours}: {figure} {goal.at_most:g} × {goal.reference}"
    return f"{goal.ours}: {figure} {goal.at_most:g} {'MiB' if goal.figure == 'peak_mib' else 's'}"


def _found(goal: Goal, found: float) -> str:
    if goal.reference is not None:
        return f"{found:.2f} ×"
    return f"{found:.1f} MiB" if goal.figure == "peak_mib" else f"{found:.3g} s"


def _figures(measured: Iterable[Measured]) -> Iterator[tuple[str, ...]]:
    for one in measured:
        for at, name in enumerate(one.costs):
            wall, cpu = (_seconds(one.median(name, figure)) for figure in ("wall_s", "cpu_s"))
            yield f"`{one.row.name}`" if at == 0 else "", f"`{name}`", wall, cpu, f"{one.median(name, 'peak_mib'):.1f}"


def _growth(measured: Sequence[Measured]) -> str:
    small, large = next(iter(measured)).costs
    rows = []
    for one in measured:
        cells = [one.row.title.partition(",")[0]]
        for name in one.costs:
            cells += [
                _seconds(one.median(name, "wall_s")),
                _seconds(one.median(name, "cpu_s")),
                f"{one.median(name, 'peak_mib'):.1f}",
            ]
        first, second = one.costs
        cells += [f"{one.ratio(second, first, figure):.2f}" for figure in ("cpu_s", "peak_mib")]
        rows.append(tuple(cells))
    heads = ("work", "wall s", "CPU s", "peak MiB", "wall s", "CPU s", "peak MiB", "CPU ×", "peak ×")
    return f"The first three figures are of {small}, the next ones of {large}.\n\n" + _table(heads, "lrrrrrrrr", rows)


def _seconds(found: float) -> str:
    return f"{found:.3f}" if found >= 0.1 else f"{found:.4f}"


def _table(heads: Sequence[str], sides: str, rows: Iterable[Sequence[str]]) -> str:
    marks = {"l": "---", "r": "--:", "c": ":-:"}
    lines = (heads, [marks[side] for side in sides], *rows)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
