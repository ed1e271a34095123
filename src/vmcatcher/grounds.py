"""The composition root of the trust tools: what they look at, and how they fetch."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from vmcatcher import __version__, wiring
from vmcatcher.services.trust_ground import Ground
from vmcatcher.transport.limits import Limits
from vmcatcher.transport.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmcatcher.services.context import Context
    from vmcatcher.settings import Settings


def trust_ground(settings: Settings, context: Context | None) -> Ground:
    """Return what the trust tools look at; without a context there is no overlay.

    Raises:
        TrustDirectoryMissing, TrustDirectoryEmpty: there is nothing to look at.
    """
    layout = context.layout if context is not None else None
    return Ground(
        directory=settings.text("trust_directory"),
        overlay=layout.trust if layout is not None else None,
        anchors=wiring.trust_anchors(settings, layout),
        rules=wiring.trust_rules(settings),
        now=context.now if context is not None else wiring.clock(),
    )


@contextlib.contextmanager
def list_network(settings: Settings) -> Iterator[Transport]:
    """Give what fetches lists, with the limits of an update, and close it after."""
    with _network(settings, settings.count("list_bytes"), settings.number("list_timeout")) as transport:
        yield transport


@contextlib.contextmanager
def crl_network(settings: Settings) -> Iterator[Transport]:
    """Give what fetches revocation lists, and close it after."""
    with _network(settings, settings.count("crl_bytes"), settings.number("crl_timeout")) as transport:
        yield transport


@contextlib.contextmanager
def _network(settings: Settings, most_bytes: int, total_s: float) -> Iterator[Transport]:
    limits = Limits(
        connect_s=settings.number("connect_timeout"),
        idle_s=settings.number("idle_timeout"),
        total_s=total_s,
        list_bytes=most_bytes,
    )
    with Transport(
        limits=limits, user_agent=f"vmcatcher/{__version__}", proxies=settings.proxies, no_proxy=settings.no_proxy
    ) as transport:
        yield transport
