"""The bytes of an answer, from the connection straight into the memory where they are wanted."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from urllib3 import HTTPResponse


class Body:
    """The body of an answer, as it is on the wire but for the frames of chunks.

    urllib3 makes `bytes` of as much as was asked for and shortens them to what there was: over TLS, which comes in
    records of 16 KiB, that is a MiB of fresh memory for each of them. Where there are no chunks to take apart we read
    from below it, and tell it how much.
    """

    def __init__(self, raw: HTTPResponse) -> None:
        self._raw = raw
        # What urllib3 was given by http.client. It has no other way to what it reads from.
        source: http.client.HTTPResponse | None = raw._original_response  # noqa: SLF001 - see above
        self._source = None if source is None or source.chunked else source
        self._is_over = False

    def read_into(self, view: memoryview) -> int:
        """Fill the beginning of `view`, which is not empty, with what one read gives; 0 at the end of the body.

        Raises:
            transport.troubles.FOREIGN: whatever the connection, or the library, makes of it.
        """
        if self._is_over:
            return 0
        count = self._read_chunked(view) if self._source is None else self._read_plain(self._source, view)
        self._is_over = not count
        return count

    def _read_chunked(self, view: memoryview) -> int:
        if self._raw.closed:
            return 0
        piece = self._raw.read1(len(view), decode_content=False)
        view[: len(piece)] = piece
        return len(piece)

    def _read_plain(self, source: http.client.HTTPResponse, view: memoryview) -> int:
        left = self._raw.length_remaining
        if left == 0 or source.isclosed():
            source.close()
            return 0
        count = source.fp.readinto1(view if left is None else view[:left])
        if left is not None:
            if not count:
                raise http.client.IncompleteRead(b"", left)
            self._raw.length_remaining = left - count
        if not count or left == count:
            # As http.client does at the end of a body: only then the connection can be used again.
            source.close()
        return count
