"""What tests fetch with: a transport that never waits long, a sink that remembers, and locations made short."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

from vmcatcher.model.location import Location
from vmcatcher.transport import Access, ImageFetched, Limits, Transport

QUICK = Limits(connect_s=2, idle_s=0.4, total_s=4, rate_window_s=30)


def limits(**changes: float) -> Limits:
    """Return limits that no test waits for long, with some of them changed."""
    changed: Limits = dataclasses.replace(QUICK, **changes)  # type: ignore[arg-type]  # names and numbers of the tests' own
    return changed


def at(url: str) -> Location:
    """Return the location of a URL."""
    return Location.parse(url)[0]


def some_bytes(count: int, seed: str = "image") -> bytes:
    """Return `count` bytes that look like noise and are always the same."""
    return hashlib.shake_128(seed.encode()).digest(count)


class Waits(list[float]):
    """Stands for `time.sleep`: notes how long somebody wanted to sleep, and does not."""

    def __call__(self, seconds: float) -> None:
        """Note a wait."""
        self.append(seconds)


def transport(sleep: Callable[[float], None] | None = None, *, bounds: Limits = QUICK, **options: Any) -> Transport:
    """Return a transport that is quick to give up and does not sleep."""
    return Transport(limits=bounds, user_agent="vmcatcher/test", sleep=Waits() if sleep is None else sleep, **options)


class RecordingSink:
    """A sink that keeps the bytes, and every call in order."""

    def __init__(self, content: bytes = b"", validator: str | None = None) -> None:
        self.content = bytearray(content)
        self.validator = validator
        self.calls: list[str] = []
        self.most = len(content)

    def write(self, chunk: memoryview) -> None:
        """Keep the bytes."""
        self.content += chunk
        self.most = max(self.most, len(self.content))
        self.calls.append("write")

    def restart(self) -> None:
        """Drop the bytes."""
        self.content.clear()
        self.validator = None
        self.calls.append("restart")

    def remember(self, validator: str | None) -> None:
        """Keep the validator."""
        self.validator = validator
        self.calls.append("remember")

    @property
    def restarts(self) -> int:
        """How often it was told to start again."""
        return self.calls.count("restart")

    def fetch(
        self, carrier: Transport, url: str, size: int, access: Access | None = None, validator: str | None = None
    ) -> ImageFetched:
        """Fetch an image into this sink, from where it stands."""
        return carrier.fetch_image(
            at(url),
            access or Access(file_images=True),
            size=size,
            offset=len(self.content),
            validator=validator or self.validator,
            sink=self,
        )
