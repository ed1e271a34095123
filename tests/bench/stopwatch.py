"""Runs commands and says what each cost: one JSON request on stdin, one JSON answer on stdout, line by line.

A process of its own, started with `-I -S`, because Linux counts the memory of the process that starts a command towards
the command's peak: this one stays below 10 MiB, which is therefore the least that any peak can be.
"""

from __future__ import annotations

import json
import os
import sys
import time


def run(words: list[str], environment: dict[str, str], out: str, err: str) -> dict[str, float]:
    """Run a command to its end; return its exit status, wall and CPU seconds (of its children, too), and peak KiB."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    redirections = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, out, flags, 0o644),
        (os.POSIX_SPAWN_OPEN, 2, err, flags, 0o644),
    ]
    begin = time.perf_counter()
    child = os.posix_spawnp(words[0], words, environment, file_actions=redirections)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - begin
    return {
        "status": os.waitstatus_to_exitcode(status),
        "wall_s": wall,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_kib": usage.ru_maxrss,
    }


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)
