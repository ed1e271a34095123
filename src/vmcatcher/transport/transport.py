"""The one door to the network for everybody else: fetch a list, fetch an image."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self

from vmcatcher.transport import files
from vmcatcher.transport.halting import Halt
from vmcatcher.transport.images import ImageFetch, ImageOrder
from vmcatcher.transport.limits import Clock, Deadline, Limits
from vmcatcher.transport.lists import fetch_list, list_errand
from vmcatcher.transport.pace import Pace
from vmcatcher.transport.proxies import Proxies
from vmcatcher.transport.repeats import Repeats
from vmcatcher.transport.web import Web

if TYPE_CHECKING:
    from vmcatcher.model.location import Location
    from vmcatcher.transport.access import Access
    from vmcatcher.transport.results import Fetched, ImageFetched, NotModified, Sink, Validators


class Transport:
    """Fetches lists and images over http, https and from files. One per run; safe to use from several threads.

    Every wait and every byte is bounded by `limits`. Nothing is read from the environment: proxies come as arguments,
    `.netrc` and cookies are not known. What leaves is a `VmcatcherError` whose text names no user and no password.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        user_agent: str,
        proxies: Mapping[str, str] | None = None,
        no_proxy: str = "",
        clock: Clock = time.monotonic,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        """Take the proxy URLs by `http`, `https` and `all`, and in `no_proxy` a list of exceptions as curl reads it.

        Without a `sleep` of the caller's every wait ends with `halt`.
        """
        self._halt = Halt()
        sleep = self._halt.sleep if sleep is None else sleep
        self._limits = limits
        self._clock = clock
        self._web = Web(
            limits=limits,
            user_agent=user_agent,
            proxies=Proxies(proxies or {}, no_proxy),
            clock=clock,
            pace=Pace(limits.most_bytes_s, clock, sleep),
            halt=self._halt,
        )
        self._repeats = Repeats(limits, clock, sleep)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that were kept for a next request."""
        self._web.close()

    def halt(self) -> None:
        """End what is on its way in other threads, at once and for good: the run is over.

        Each of these has `halting.Halted` raised, once its sink was given all that had come; every later call, too.
        """
        self._halt.now()

    def fetch_list(
        self, location: Location, access: Access, *, known: Validators | None = None
    ) -> Fetched | NotModified:
        """Return the document at `location`, or that it still is the version that `known` names.

        `NotModified` only ever answers a request that named a version, and only over http and https. Whether that
        version is still there and still good is for the caller to check; if not, ask again without `known`.

        Raises:
            BodyTooLong: more than `Limits.list_bytes`.
            TookTooLong: not there within `Limits.total_s`, redirects and repeats included.
            PasswordOverHttp, BadUserName, UnusableProxy, TrustDirectoryUnusable: the settings must be changed.
            NetworkError: everything else; see `vmcatcher.errors.network` and `vmcatcher.errors.answer`.
        """
        if location.scheme == "file":
            return files.read_list(location, limit=self._limits.list_bytes)
        seconds = self._limits.total_s
        deadline = Deadline(self._clock() + seconds, seconds)
        errand = list_errand(location, access, known, deadline)
        return self._repeats.run(lambda: fetch_list(self._web, errand), deadline)

    def fetch_image(
        self,
        location: Location,
        access: Access,
        *,
        size: int,
        sink: Sink,
        offset: int = 0,
        validator: str | None = None,
    ) -> ImageFetched:
        """Hand the `size` bytes of an image to `sink`, which has the first `offset` of them already.

        They are resumed if the server still has the version that `validator` names (what `sink.remember` was told
        then), else the sink is told to start again. The sink never gets more than `size` bytes; whether they are the
        right ones its digest says. After an error the sink has what came, to be resumed at a next run.

        Raises:
            BodyTooLong, BodyTooShort: the file at `location` has another size.
            BodyTruncated, ConnectionBroken, ServerBusy, ServerTimeout: so at every attempt.
            TransferTooSlow: less than `Limits.min_rate_bytes_s`.
            FileImageRefused: a file of this machine, and `access` does not allow that.
            NetworkError and others: as for `fetch_list`. What the sink raises passes unchanged.
        """
        return self._fetch(ImageOrder(location, access, size, sink), offset, validator)

    def fetch_by_digest(
        self, location: Location, access: Access, *, size: int, sink: Sink, offset: int = 0
    ) -> ImageFetched:
        """Do as `fetch_image`, but go on from `offset` whatever version the server has and whoever gave what is there.

        The caller will see by the digest whether bytes of several places belong together. Raises as `fetch_image`.
        """
        return self._fetch(ImageOrder(location, access, size, sink, by_digest=True), offset, None)

    def _fetch(self, order: ImageOrder, offset: int, validator: str | None) -> ImageFetched:
        if order.location.scheme == "file":
            return files.read_image(order, self._clock, offset=offset, validator=validator)
        image = ImageFetch(self._web, order, self._clock, offset=offset, validator=validator)
        return self._repeats.run(image.attempt)
