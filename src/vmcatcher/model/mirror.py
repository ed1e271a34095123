"""Mirrors: servers and directories of a store's blobs, of which nothing is believed but what a digest proves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from vmcatcher.errors import BadLocation
from vmcatcher.errors.mirrors import BadMirror
from vmcatcher.model.identity import Sha512
from vmcatcher.model.location import Location, UserInfo


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where a tree of blobs begins: `<base>/sha512/<first two digits>/<digest>`. `str()` shows no password."""

    base: Location
    userinfo: UserInfo | None = field(default=None, repr=False)
    """The mirror's own user name and password; they go to its origin and nowhere else."""

    def __str__(self) -> str:
        return str(self.base)

    def blob(self, sha512: Sha512) -> Location:
        """Return where the mirror has those bytes, if it has them."""
        return replace(self.base, path=f"{self.base.path}/sha512/{sha512[:2]}/{sha512}")

    @classmethod
    def parse(cls, text: str) -> Mirror:
        """Return the mirror that an operator named by a URL or an absolute path.

        Raises:
            BadMirror: it is neither, or has a query, to which no path can be added. The text shown has no password.
        """
        try:
            location, userinfo = Location.parse(text)
        except BadLocation as exc:
            raise BadMirror(mirror=exc.uri, why=exc.why) from exc
        base = replace(location, path=location.path.rstrip("/"))
        if base.query is not None:
            raise BadMirror(mirror=str(base), why="it has a query, to which no path can be added")
        return cls(base, userinfo)
