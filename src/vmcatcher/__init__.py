"""vmcatcher: subscribe to signed virtual machine image lists and keep verified copies."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


__version__: Final = "1.0.0"
