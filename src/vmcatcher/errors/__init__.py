"""The one exception tree: stable id, exit code, classic exit code, sentence and next step for the operator.

`base` holds the root and its four branches, named after who must act; the other modules hold the leaves, one
module per room of the program.
"""

from __future__ import annotations

from vmcatcher.errors.base import (
    MachineError,
    NetworkError,
    OperatorError,
    PublisherError,
    VmcatcherError,
    printable,
)
from vmcatcher.errors.identity import (
    BadDigest,
    BadEndorserIdentifier,
    BadIdentifier,
    BadLocation,
)

__all__ = [
    "BadDigest",
    "BadEndorserIdentifier",
    "BadIdentifier",
    "BadLocation",
    "MachineError",
    "NetworkError",
    "OperatorError",
    "PublisherError",
    "VmcatcherError",
    "printable",
]
