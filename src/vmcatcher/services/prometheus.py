"""What `status` found as a file for the textfile collector of Prometheus' node_exporter.

`METRICS` is the one list of what there is; docs/reference/metrics.md has the same names, and a test compares the two.
Source: the text format of https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher import __version__
from vmcatcher.errors import printable
from vmcatcher.model.health import ImageState, Severity
from vmcatcher.store.outside import write_outside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from vmcatcher.model.health import Health

    Samples = Iterable[tuple[Mapping[str, str], float]]

_READABLE_BY_ALL: Final = 0o022
_LOCKS: Final = ("update", "cache", "store")


@dataclass(frozen=True, slots=True)
class Metric:
    """One family of samples: a name that never changes its meaning, and where its values come from."""

    name: str
    meaning: str
    labels: tuple[str, ...]
    read: Callable[[Health], Samples]


def _at(instant: datetime | None, **labels: str) -> Iterator[tuple[Mapping[str, str], float]]:
    """Yield an instant as seconds since 1970; nothing where there is none."""
    if instant is not None:
        yield labels, instant.timestamp()


def _counted(health: Health) -> Samples:
    # Two samples of one name with the same labels would make the collector refuse the whole file.
    found: dict[tuple[str, str, str], int] = {}
    for one in health.troubles:
        key = (one.id, one.severity.value, one.subject)
        found[key] = found.get(key, 0) + 1
    return [({"id": key[0], "severity": key[1], "subject": key[2]}, count) for key, count in found.items()]


METRICS: Final = (
    Metric(
        "vmcatcher_build_info", "Always 1; the label says which version wrote this file.", ("version",),
        lambda _: [({"version": __version__}, 1)],
    ),
    Metric(
        "vmcatcher_status_timestamp_seconds", "When this was looked at; old: nobody looks any more.", (),
        lambda health: _at(health.now),
    ),
    Metric(
        "vmcatcher_troubles_by_severity", "How many things are not well: wrong, soon or passing.", ("severity",),
        lambda health: [
            ({"severity": one.value}, sum(trouble.severity is one for trouble in health.troubles)) for one in Severity
        ],
    ),
    Metric(
        "vmcatcher_trouble_found", "One thing that is not well, as often as it was found.",
        ("id", "severity", "subject"),
        _counted,
    ),
    Metric(
        "vmcatcher_list_info", "Always 1; the labels describe the current list.", ("list", "title", "version"),
        lambda health: [
            ({"list": one.list_id, "title": one.title, "version": one.version}, 1) for one in health.lists
        ],
    ),
    Metric(
        "vmcatcher_list_expires_timestamp_seconds", "When the current list holds no more.", ("list",),
        lambda health: [found for one in health.lists for found in _at(one.expires, list=one.list_id)],
    ),
    Metric(
        "vmcatcher_list_created_timestamp_seconds", "When the current list was made by its endorser.", ("list",),
        lambda health: [found for one in health.lists for found in _at(one.created, list=one.list_id)],
    ),
    Metric(
        "vmcatcher_list_success_timestamp_seconds", "Last successful update, to within an hour.", ("list",),
        lambda health: [found for one in health.lists for found in _at(one.succeeded, list=one.list_id)],
    ),
    Metric(
        "vmcatcher_list_failing", "1 where the last update failed; the label is the id of the error.",
        ("list", "error"),
        lambda health: [({"list": one.list_id, "error": one.error_id}, int(bool(one.error_id)))
                        for one in health.lists],
    ),
    Metric(
        "vmcatcher_list_images", "Images of the current list: named, selected, present, undecided.", ("list", "which"),
        lambda health: [
            ({"list": one.list_id, "which": which}, count)
            for one in health.lists
            for which, count in (
                ("named", one.named), ("selected", one.selected), ("present", one.present),
                ("undecided", one.undecided),
            )
        ],
    ),
    Metric(
        "vmcatcher_images_by_state", "Images that are selected or have to leave, by where they stand.", ("state",),
        lambda health: [({"state": one.value}, health.count(one)) for one in ImageState],
    ),
    Metric(
        "vmcatcher_events_by_state",
        "Events that no handler has taken: owed, of these refused before, failed for good.", ("state",),
        lambda health: [
            ({"state": "owed"}, health.events.owed),
            ({"state": "refused"}, health.events.refused),
            ({"state": "failed"}, health.events.failed),
        ],
    ),
    Metric(
        "vmcatcher_stored_files", "Files in the store, by kind.", ("kind",),
        lambda health: [({"kind": one.kind}, one.count) for one in health.amounts],
    ),
    Metric(
        "vmcatcher_stored_bytes", "Bytes of these files.", ("kind",),
        lambda health: [({"kind": one.kind}, one.size_bytes) for one in health.amounts],
    ),
    Metric(
        "vmcatcher_fetch_bytes", "Bytes that the next run has to find space for.", (),
        lambda health: [({}, health.fetch_bytes)],
    ),
    Metric(
        "vmcatcher_filesystem_free_bytes", "What may still be written where the store lies.", ("path",),
        lambda health: [({"path": one.path}, one.free_bytes) for one in health.spaces],
    ),
    Metric(
        "vmcatcher_filesystem_size_bytes", "Size of that file system.", ("path",),
        lambda health: [({"path": one.path}, one.total_bytes) for one in health.spaces],
    ),
    Metric(
        "vmcatcher_certificate_expires_timestamp_seconds",
        "When a certificate ends on which current lists depend: of a signer, or of a ca above it.",
        ("role", "subject", "serial"),
        lambda health: [
            found
            for one in health.certificates
            for found in _at(one.ends, role=one.role, subject=one.subject, serial=one.serial)
        ],
    ),
    Metric(
        "vmcatcher_crl_expires_timestamp_seconds", "When the revocation list of such a CA ends; 0: there is none.",
        ("issuer",),
        lambda health: [
            ({"issuer": one.issuer}, one.ends.timestamp() if one.ends is not None else 0) for one in health.crls
        ],
    ),
    Metric(
        "vmcatcher_lock_held", "1 while somebody has the lock.", ("lock",),
        lambda health: [({"lock": name}, int(any(one.lock == name for one in health.locks))) for name in _LOCKS],
    ),
)  # fmt: skip


def metrics_text(health: Health) -> str:
    """Return everything in the text format, each family with its HELP and TYPE."""
    lines: list[str] = []
    for metric in METRICS:
        lines += [f"# HELP {metric.name} {_escaped(metric.meaning)}", f"# TYPE {metric.name} gauge"]
        seen: set[str] = set()
        for labels, value in metric.read(health):
            sample = metric.name + _labels(metric, labels)
            # Two CAs of one name may have certificates with one serial number.
            if sample not in seen:
                seen.add(sample)
                lines.append(f"{sample} {_number(value)}")
    return "\n".join(lines) + "\n"


def write_metrics(path: str, health: Health) -> None:
    """Put the metrics at `path` in one rename, for all to read: the collector never sees half a file.

    A pipe or a device is written to instead: root, who has a run print to /dev/stdout, would replace that. A link in
    the collector's directory is replaced, wherever it leads.

    Raises:
        OutputUnwritable: the directory is not there, or cannot be written to; what was at `path` is there still.
    """
    # The collector runs as somebody else: the umask of cron or of a unit must not keep the file from it.
    before = os.umask(_READABLE_BY_ALL)
    try:
        write_outside(path, metrics_text(health).encode())
    finally:
        os.umask(before)


def _labels(metric: Metric, labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(labels[name]).replace(chr(34), chr(92) + chr(34))}"' for name in metric.labels)
    return f"{{{pairs}}}" if pairs else ""


def _escaped(text: str) -> str:
    # What is no character of a line is escaped by us, whose backslash then is escaped for the format.
    return printable(text).replace("\\", "\\\\")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
