"""Instants as text: aware UTC in, aware UTC out."""

from __future__ import annotations

from datetime import UTC, datetime


def _utc(instant: datetime) -> tuple[datetime, str]:
    # strftime does not pad the year: 999 would come back as something else, and sort behind 2026.
    moment = instant.astimezone(UTC)
    return moment, f"{moment.year:04d}"


def instant_text(instant: datetime) -> str:
    """Return `2026-11-23T04:23:39Z`: UTC, whole seconds, as lists and the classic outputs spell it."""
    moment, year = _utc(instant)
    return moment.strftime(f"{year}-%m-%dT%H:%M:%SZ")


def precise_text(instant: datetime) -> str:
    """Return the instant with microseconds, for what has to keep its order: `2026-11-23T04:23:39.123456Z`."""
    moment, year = _utc(instant)
    return moment.strftime(f"{year}-%m-%dT%H:%M:%S.%fZ")


def stamp_text(instant: datetime) -> str:
    """Return `20261123T042339Z`, which sorts as text and is safe in a file name."""
    moment, year = _utc(instant)
    return moment.strftime(f"{year}%m%dT%H%M%SZ")


def view_stamp(instant: datetime) -> str:
    """Return `2026-11-23_04-23-39`, the ending of names in the expired view (UTC)."""
    moment, year = _utc(instant)
    return moment.strftime(f"{year}-%m-%d_%H-%M-%S")


def parse_instant(text: str) -> datetime:
    """Return the aware UTC instant that `text` names in ISO 8601 with a zone.

    Raises:
        ValueError: it is no such text, names no zone, or lies outside the years 1 to 9999.
    """
    # fromisoformat takes any character between date and time, a line break too.
    if not text.isprintable():
        raise ValueError("not printable")
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("no time zone")
    try:
        return instant.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("outside the calendar") from exc
