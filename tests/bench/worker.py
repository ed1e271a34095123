"""Parts of the program without its commands, to be measured in a process of their own.

worker.py download URL SIZE SHA512 STORE ANCHORS   only transport and store.downloads, from start-up to the blob
worker.py verify LIST ANCHORS TIMES                prints, as JSON, the cost of one of so many verifications
worker.py unchanged STORE COUNT                    … the cost of looking whether so many cached files were touched
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from collections.abc import Iterator


def _download(url: str, size: str, sha512: str, store: str, anchors: str) -> None:
    from vmcatcher.model.identity import Sha512
    from vmcatcher.model.location import Location
    from vmcatcher.store import downloads, root
    from vmcatcher.transport import RING, Access, Limits, Transport

    layout = root.make_store(store)
    access = Access(tls="igtf", trust_directory=anchors, file_images=True)
    download = downloads.Download(layout, Sha512(sha512), int(size), uri=url, ring=RING)
    with Transport(limits=Limits(), user_agent="bench") as transport, download:
        transport.fetch_image(Location.from_list(url), access, size=int(size), sink=download)
        download.commit()


def _verify(signed: str, anchors: str, times: str) -> None:
    from datetime import UTC, datetime
    from pathlib import Path

    from vmcatcher.trust.anchors import TrustAnchors
    from vmcatcher.trust.verify import verify

    content, now, trusted = Path(signed).read_bytes(), datetime.now(UTC), TrustAnchors.load(anchors)
    verify(content, trusted, now)  # what is read once, and not for each list
    with _costing(int(times)):
        for _ in range(int(times)):
            verify(content, trusted, now)


def _unchanged(store: str, count: str) -> None:
    from dataclasses import replace
    from datetime import UTC, datetime, timedelta

    from vmcatcher.services.checking import Checker
    from vmcatcher.services.context import Context
    from vmcatcher.store import cache, root

    layout = root.open_store(store)
    there = [record for image in cache.cached_images(layout) for record in cache.readable_records(layout, image)[0]]
    records = [replace(there[at % len(there)], number=1 + at) for at in range(int(count))]
    checker = Checker(Context(layout, datetime.now(UTC), "bench"), everything=False, recheck_after=timedelta(days=30))
    with _costing(1), checker.reading_ahead(records):
        for record in records:
            assert checker.check(record) is None


@contextlib.contextmanager
def _costing(times: int) -> Iterator[None]:
    """Print what a block costs, as the cost of one of so many times that it does the same."""
    before, begin = time.process_time(), time.perf_counter()
    yield
    wall, cpu = time.perf_counter() - begin, time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"wall_s": wall / times, "cpu_s": cpu / times, "peak_kib": peak}))


if __name__ == "__main__":
    if sys.argv[1] == "download":
        _download(*sys.argv[2:])
    elif sys.argv[1] == "verify":
        _verify(*sys.argv[2:])
    else:
        _unchanged(*sys.argv[2:])
