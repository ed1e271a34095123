"""What cron does with a file of /etc/cron.d, without waiting for the minute.

    jobs = read_cron_file(Path("/etc/cron.d/vmcatcher"))
    done = run(jobs[0])          # as the user of the line, with the environment that cron gives and no other
    assert done.mail == ""

Read as crontab(5) of Debian's cron says: values are no shell text, a line that is neither a setting nor a job makes
cron ignore the whole file, `%` is a newline and what follows the first one is standard input.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# A quoted name or value ends with its quote, and nothing may follow. An unquoted value goes on to the end of the line.
_NAME = r"""(?P<name>"[^"]*"|'[^']*'|[^\s="'][^\s=]*)"""
_VALUE = r"""(?P<value>"[^"]*"|'[^']*'|(?!["']).*?)"""
_SETTING = re.compile(rf"\s*{_NAME}\s*=\s*{_VALUE}\s*")
_FIELD = r"[0-9*][0-9,*/\-]*|[A-Za-z]{3}"
_JOB = re.compile(
    rf"\s*(?P<when>@[a-z]+|[0-9*][0-9,*/\-]*(?:[ \t]+(?:{_FIELD})){{4}})[ \t]+(?P<user>\S+)[ \t]+(?P<text>.+)"
)


class CronFileIgnored(Exception):
    """Cron takes nothing of this file, and says so in its log alone."""


@dataclass(frozen=True)
class Job:
    """One line of the table."""

    when: str
    user: str
    command: str
    stdin: str
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Done:
    """How a job ended, and what cron would put into a mail."""

    code: int
    mail: str


def read_cron_file(path: Path) -> list[Job]:
    """Return the jobs of a file in /etc/cron.d, or raise CronFileIgnored as cron would log it."""
    status = path.stat()
    if status.st_uid != 0 or status.st_mode & 0o022 or not re.fullmatch(r"[A-Za-z0-9_-]+", path.name):
        raise CronFileIgnored(f"{path}: wrong owner, mode or name")
    settings: dict[str, str] = {}
    jobs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if found := _SETTING.fullmatch(line):
            settings[_unquoted(found["name"])] = _unquoted(found["value"])
        elif found := _JOB.fullmatch(line):
            jobs.append(_job(found, settings))
        else:
            raise CronFileIgnored(f"{path}:{number}: {line}")
    return jobs


def _unquoted(text: str) -> str:
    return text[1:-1] if text[:1] in {'"', "'"} else text


def _job(found: re.Match[str], settings: Mapping[str, str]) -> Job:
    command, *following = (part.replace("\\%", "%") for part in re.split(r"(?<!\\)%", found["text"]))
    stdin = "".join(f"{line}\n" for line in following)
    # Settings hold for the lines below them.
    return Job(found["when"], found["user"], command, stdin, dict(settings))


def run(job: Job, *, timeout_s: float = 50) -> Done:
    """Run a job as cron does: its user, groups and home directory, and nothing of our own environment."""
    user = pwd.getpwnam(job.user)
    environment = {"HOME": user.pw_dir, "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", **job.settings}
    environment["LOGNAME"] = job.user
    setpriv = shutil.which("setpriv")
    assert setpriv is not None
    done = subprocess.run(
        [
            *(setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"),
            *("--inh-caps=-all", "--bounding-set=-all", environment["SHELL"], "-c", job.command),
        ],
        env=environment,
        # `useradd` of Debian makes no home directory; cron stays where it is then.
        cwd=environment["HOME"] if os.path.isdir(environment["HOME"]) else "/",
        input=job.stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Done(done.returncode, done.stdout)
