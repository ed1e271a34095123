"""Whether the views can lie where the operator wants them, asked once before a run begins."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vmcatcher.errors.cache import ViewDirectoryMissing, ViewsCollide

if TYPE_CHECKING:
    from vmcatcher.store.layout import Layout
    from vmcatcher.store.views import Views


def demand_places(layout: Layout, shown: Views) -> None:
    """Return if every view has a directory of its own that is there, and is none that the store keeps documents in.

    Raises:
        ViewDirectoryMissing: one is not there: it may be on a disk that is not mounted.
        ViewsCollide: what one of them shows, another would take away.
    """
    own = {layout.endorsed, layout.partial, layout.expired}
    taken = {os.path.realpath(path): "the store" for path in (layout.root, *layout.directories) if path not in own}
    for kind, path in (("cache", shown.cache), ("partial", shown.partial), ("expired", shown.expired)):
        if path in own:
            continue  # inside the store: a run makes it
        if not os.path.isdir(path):
            raise ViewDirectoryMissing(kind=kind.capitalize(), path=path)
        other = taken.setdefault(os.path.realpath(path), kind)
        if other != kind:
            raise ViewsCollide(kind=kind, path=path, other=other)
