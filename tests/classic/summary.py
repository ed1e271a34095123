"""How many recorded steps of each command come out as they were, and why others do not; a section of the docs.

    PYTHONPATH=src:tests .venv/bin/python -m classic.summary     # writes it

`test_recorded.py` plays the steps, and refuses a page whose section says something else.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from classic.recording import Step, sequences
from classic.test_recorded import DIFFERENCES, EXPECTED

PAGE = Path(__file__).resolve().parents[2] / "docs/explanation/differences-from-classic.md"
BEGIN, END = "<!-- begin recorded steps -->", "<!-- end recorded steps -->"


def is_about_messages_only(step: Step) -> bool:
    """Tell whether a step that differs does so on stderr alone: same output, same exit code."""
    return all(line.startswith(("2>", "(nothing on stderr)")) for line in step.was)


def kind_of(step: Step) -> str:
    """Return in which column a step is counted."""
    return "same" if not step.was else "messages" if is_about_messages_only(step) else "other"


def section() -> str:
    """Return the tables."""
    steps = [step for steps in sequences(EXPECTED.glob("*.txt")).values() for step in steps]
    rows = [["command", "steps", "as recorded", "other messages only", "other output or exit code"]]
    programs = sorted({step.program for step in steps})
    for program in programs:
        counts = Counter(kind_of(step) for step in steps if step.program == program)
        rows.append([f"`vmcatcher_{program}`", *map(str, (counts.total(), *_kinds(counts)))])
    counts = Counter(kind_of(step) for step in steps)
    rows.append(["all", *map(str, (counts.total(), *_kinds(counts)))])
    marked = {step.name: step for step in steps if step.was}
    reasons = Counter(reason for name, reason in DIFFERENCES.items() if name in marked)
    listed = [["why it differs", "steps"], *([reason, str(count)] for reason, count in reasons.most_common())]
    return f"{_table(rows)}\n\n{_table(listed)}"


def _kinds(counts: Counter[str]) -> tuple[int, int, int]:
    return counts["same"], counts["messages"], counts["other"]


def _table(rows: list[list[str]]) -> str:
    head, *rest = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rest))


def written() -> str:
    """Return the section that the page has."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def write() -> None:
    """Put the section into the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{section()}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    write()
