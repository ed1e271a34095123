"""vmcatcher: subscribe to signed virtual machine image lists and keep verified copies."""

from __future__ import annotations

from typing import Final

__version__: Final = "1.0.0"
