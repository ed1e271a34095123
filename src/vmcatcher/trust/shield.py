"""The border to the cryptography library, which decodes late and raises many things over hostile bytes."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# catch_warnings swaps a global; two threads doing so at once can leave the wrong filters behind.
_ONE_AT_A_TIME: Final = threading.Lock()


class Undecodable(Exception):
    """The library could not make sense of the bytes; its words are the message. Never leaves this room."""


@contextmanager
def shielded() -> Iterator[None]:
    """Turn whatever the library raises into `Undecodable`, and keep its warnings off the operator's terminal.

    Warnings are silenced since they speak to developers: serial number zero of some IGTF CAs, names longer than X.520
    permits. A panic of the library's Rust half derives from BaseException and has no type that could be imported.
    """
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except MemoryError:
            raise
        except Exception as exc:
            raise _undecodable(exc) from exc
        except BaseException as exc:
            if type(exc).__name__ != "PanicException":
                raise
            raise _undecodable(exc) from exc


def _undecodable(exc: BaseException) -> Undecodable:
    return Undecodable(" ".join(str(exc).split()) or type(exc).__name__)
