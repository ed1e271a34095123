"""Parts of the program without its commands, to be measured in a process of their own.

worker.py download URL SIZE SHA512 STORE ANCHORS   only transport and store.downloads, from start-up to the blob
worker.py verify LIST ANCHORS TIMES                prints, as JSON, the cost of one of so many verifications
"""

from __future__ import annotations

import json
import resource
import sys
import time


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
    before, begin = time.process_time(), time.perf_counter()
    for _ in range(int(times)):
        verify(content, trusted, now)
    wall, cpu = time.perf_counter() - begin, time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"wall_s": wall / int(times), "cpu_s": cpu / int(times), "peak_kib": peak}))


if __name__ == "__main__":
    if sys.argv[1] == "download":
        _download(*sys.argv[2:])
    else:
        _verify(*sys.argv[2:])
