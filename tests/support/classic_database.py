"""Databases as the classic program wrote them, versions 0.2 to 0.6, and the directories that went with them.

    old = ClassicSite(tmp_path / "old", version="0.6")
    old.endorser("alice", (signer.subject, signer.issuer))
    old.subscription(LIST_ID, uri, endorsers=["alice"])
    old.take(LIST_ID, signed, imported=…)           # what an update did: the list and one instance per image
    old.image(LIST_ID, identifier, cached=True)     # what subscribing and `vmcatcher_image -a` did
    old.cache(identifier, content); old.expire(identifier, content, stamp)

The rows are those of a database that the classic program made; versions before 0.6 lack columns as theirs did.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

VERSIONS = ("0.2", "0.3", "0.4", "0.5", "0.6")

_SCHEMA = """
CREATE TABLE endorser (
    id INTEGER NOT NULL, identifier VARCHAR(50) NOT NULL, PRIMARY KEY (id), UNIQUE (identifier));
CREATE TABLE subscription (
    id INTEGER NOT NULL, identifier VARCHAR(50) NOT NULL, description VARCHAR(200), uri VARCHAR(200) NOT NULL,
    authorised BOOLEAN NOT NULL, imagelist_latest INTEGER, updated DATETIME{newer},
    PRIMARY KEY (id), UNIQUE (identifier), UNIQUE (uri), CHECK (authorised IN (0, 1)));
CREATE TABLE "subscriptionAuth" (
    id INTEGER NOT NULL, subscription INTEGER, endorser INTEGER, authorised BOOLEAN NOT NULL, PRIMARY KEY (id),
    FOREIGN KEY(subscription) REFERENCES subscription (id) ON DELETE CASCADE ON UPDATE CASCADE,
    FOREIGN KEY(endorser) REFERENCES endorser (id) ON DELETE CASCADE ON UPDATE CASCADE, CHECK (authorised IN (0, 1)));
CREATE TABLE "ImageDefinition" (
    id INTEGER NOT NULL, identifier VARCHAR(50) NOT NULL, latest INTEGER, cache INTEGER NOT NULL, subscription INTEGER,
    PRIMARY KEY (id), UNIQUE (identifier),
    FOREIGN KEY(subscription) REFERENCES subscription (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE "endorserPrincible" (
    id INTEGER NOT NULL, hv_dn VARCHAR(50) NOT NULL, hv_ca VARCHAR(50) NOT NULL, endorser INTEGER,
    PRIMARY KEY (id){unique_dn},
    FOREIGN KEY(endorser) REFERENCES endorser (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE "imageListInstance" (
    id INTEGER NOT NULL, data {data} NOT NULL, data_hash VARCHAR(128) NOT NULL, expired DATETIME, sub_auth INTEGER,
    imported DATETIME NOT NULL, created DATETIME NOT NULL, expires DATETIME NOT NULL, version VARCHAR(50) NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(sub_auth) REFERENCES "subscriptionAuth" (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE "ImageInstance" (
    id INTEGER NOT NULL, description VARCHAR(50) NOT NULL, hypervisor VARCHAR(50) NOT NULL,
    sha512 VARCHAR(128) NOT NULL, uri VARCHAR(128) NOT NULL, os VARCHAR(50) NOT NULL, osversion VARCHAR(50) NOT NULL,
    arch VARCHAR(50) NOT NULL, version VARCHAR(50) NOT NULL, size INTEGER NOT NULL, title VARCHAR(100) NOT NULL,
    comments VARCHAR(100), "fkIdentifier" INTEGER, fkimagelistinstance INTEGER, PRIMARY KEY (id),
    FOREIGN KEY("fkIdentifier") REFERENCES "ImageDefinition" (id) ON DELETE CASCADE ON UPDATE CASCADE,
    FOREIGN KEY(fkimagelistinstance) REFERENCES "imageListInstance" (id) ON DELETE CASCADE ON UPDATE CASCADE);
"""
_ACCESS = ', "trustAnchor" INTEGER NOT NULL, "userName" VARCHAR(200), password VARCHAR(200)'
_MODE = ', "updateMode" INTEGER NOT NULL'


def _schema(version: str, *, unique_dn: bool) -> str:
    newer = "" if version < "0.4" else _ACCESS if version < "0.5" else _ACCESS + _MODE
    data = "BLOB" if version >= "0.6" else "VARCHAR(1000)"
    return _SCHEMA.format(newer=newer, data=data, unique_dn=", UNIQUE (hv_dn)" if unique_dn else "")


def _time(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


class ClassicSite:
    """A database file and the cache directories beside it."""

    def __init__(self, root: Path, version: str = "0.6", *, unique_dn: bool = True) -> None:
        self.root = root
        self.version = version
        self.path = root / "vmcatcher.db"
        self.cached = root / "endorsed"
        self.expired = root / "expired"
        self.partial = root / "partial"
        for directory in (root, self.cached, self.expired, self.partial):
            directory.mkdir(exist_ok=True)
        self._connection = sqlite3.connect(self.path)
        self._connection.executescript(_schema(version, unique_dn=unique_dn))
        self._indexes: dict[Path, dict[str, dict[str, object]]] = {self.cached: {}, self.expired: {}}

    @property
    def url(self) -> str:
        """How the variable of the classic cron files names the database."""
        return f"sqlite:///{self.path}"

    def close(self) -> None:
        """Let the file go, as the end of a classic command did."""
        self._connection.commit()
        self._connection.close()

    def reopen(self) -> None:
        """Go on with a database that was closed."""
        self._connection = sqlite3.connect(self.path)

    def execute(self, statement: str, *values: object) -> int:
        """Run any statement; return the number of the row that it made."""
        cursor = self._connection.execute(statement, values)
        self._connection.commit()
        return cursor.lastrowid or 0

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        return self._connection.execute(statement, values).fetchall()

    def _id(self, table: str, identifier: str) -> int:
        return int(self.rows(f'SELECT id FROM "{table}" WHERE identifier = ?', identifier)[0][0])

    def endorser(self, identifier: str, *credentials: tuple[str, str]) -> int:
        """Do what `vmcatcher_endorser -C` did."""
        number = self.execute("INSERT INTO endorser (identifier) VALUES (?)", identifier)
        for subject, issuer in credentials:
            self.execute(
                'INSERT INTO "endorserPrincible" (hv_dn, hv_ca, endorser) VALUES (?, ?, ?)', subject, issuer, number
            )
        return number

    def subscription(self, identifier: str, uri: str, *, endorsers: Sequence[str] = (), **newer: object) -> int:
        """Do what `vmcatcher_subscribe -s` did; `newer` are columns that came with 0.4 and 0.5."""
        row: dict[str, object] = {"identifier": identifier, "description": "A test list", "uri": uri, "authorised": 1}
        if self.version >= "0.4":
            row |= {"trustAnchor": 0, "userName": None, "password": None}
        if self.version >= "0.5":
            row |= {"updateMode": 0}
        row |= newer
        names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
        number = self.execute(f"INSERT INTO subscription ({names}) VALUES ({marks})", *row.values())
        for endorser in endorsers:
            self.link(identifier, endorser)
        return number

    def link(self, subscription: str, endorser: str) -> int:
        """Do what `vmcatcher_endorser -k` did."""
        return self.execute(
            'INSERT INTO "subscriptionAuth" (subscription, endorser, authorised) VALUES (?, ?, 1)',
            self._id("subscription", subscription),
            self._id("endorser", endorser),
        )

    def image(self, subscription: str, identifier: str, *, cached: bool = False) -> int:
        """Do what subscribing did for each image, and `vmcatcher_image -a` for those that are cached."""
        return self.execute(
            'INSERT INTO "ImageDefinition" (identifier, latest, cache, subscription) VALUES (?, 0, ?, ?)',
            identifier,
            int(cached),
            self._id("subscription", subscription),
        )

    def take(self, subscription: str, signed: bytes, *, imported: datetime, link: int | None = None) -> int:
        """Do what an update did with a new list; before 0.6 only its first 1,000 characters were kept."""
        number = self._id("subscription", subscription)
        link = link or int(self.rows('SELECT id FROM "subscriptionAuth" WHERE subscription = ?', number)[0][0])
        listed = _listed(signed)
        stored: object = signed if self.version >= "0.6" else signed.decode()[:1000]
        row = self.execute(
            'INSERT INTO "imageListInstance" (data, data_hash, sub_auth, imported, created, expires, version)'
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            stored,
            hashlib.sha512(signed).hexdigest(),
            link,
            _time(imported),
            _time(datetime.fromisoformat(listed["dc:date:created"])),
            _time(datetime.fromisoformat(listed["dc:date:expires"])),
            listed["hv:version"],
        )
        for entry in listed["hv:images"]:
            self._instance(row, entry["hv:image"])
        self.execute(
            "UPDATE subscription SET imagelist_latest = ?, updated = ? WHERE id = ?", row, _time(imported), number
        )
        return row

    def _instance(self, row: int, image: dict[str, Any]) -> None:
        known = self.rows('SELECT id FROM "ImageDefinition" WHERE identifier = ?', image["dc:identifier"])
        if not known:
            return
        instance = self.execute(
            'INSERT INTO "ImageInstance" (description, hypervisor, sha512, uri, os, osversion, arch, version, size,'
            ' title, comments, "fkIdentifier", fkimagelistinstance) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
            image["dc:description"],
            image["hv:hypervisor"],
            image["sl:checksum:sha512"],
            image["hv:uri"],
            image["sl:os"],
            image["sl:osversion"],
            image["sl:arch"],
            image["hv:version"],
            image["hv:size"],
            image["dc:title"],
            image["sl:comments"],
            known[0][0],
            row,
        )
        self.execute('UPDATE "ImageDefinition" SET latest = ? WHERE id = ?', instance, known[0][0])

    def cache(self, identifier: str, content: bytes, signed: bytes | None = None) -> Path:
        """Put an image into the cache directory, with its entry of the index if `signed` is the list that has it."""
        return self._put(self.cached, identifier, identifier, content, signed)

    def expire(self, identifier: str, content: bytes, stamp: str, signed: bytes | None = None) -> Path:
        """Put an image into the expired directory; `stamp` is local time, as the classic program wrote it."""
        return self._put(self.expired, f"{identifier}.{stamp}", identifier, content, signed)

    def _put(self, directory: Path, name: str, identifier: str, content: bytes, signed: bytes | None) -> Path:
        path = directory / name
        path.write_bytes(content)
        if signed is not None:
            self._indexes[directory][name] = _entry(identifier, name, signed)
            text = json.dumps(self._indexes[directory], indent=4, sort_keys=True)
            (directory / "cache.index").write_text(text)
        return path


def _listed(signed: bytes) -> dict[str, Any]:
    """Return the list inside a message that the test signed itself."""
    start = signed.index(b'{"hv:imagelist"') if b'{"hv:imagelist"' in signed else signed.index(b"{\r\n")
    text = signed[start:].decode(errors="replace").replace("\r\n", "\n")
    document, _ = json.JSONDecoder().raw_decode(text)
    listed: dict[str, Any] = document["hv:imagelist"]
    return listed


def _entry(identifier: str, filename: str, signed: bytes) -> dict[str, object]:
    """Return an entry of `cache.index` with the keys of the classic program."""
    listed = _listed(signed)
    image = next(one["hv:image"] for one in listed["hv:images"] if one["hv:image"]["dc:identifier"] == identifier)
    digest = hashlib.sha512(signed).hexdigest()
    entry: dict[str, object] = {
        "DownLoadTrys": {"count": 1, "msgHash": digest},
        "filename": filename,
        "hv:imagelist.dc:identifier": listed["dc:identifier"],
        "hv:imagelist.ad:vo": listed.get("ad:vo", ""),
        "message": signed.decode(),
        "msgHash": digest,
        "sha512": image["sl:checksum:sha512"],
        "size": image["hv:size"],
        "uri": image["hv:uri"],
        "uuid": identifier,
    }
    entry.update(image)
    entry.update({f"hv:image.{name}": value for name, value in image.items()})
    return entry


def link_of(path: Path) -> str | None:
    """Return where a path leads if it is a symbolic link."""
    return os.readlink(path) if path.is_symlink() else None
