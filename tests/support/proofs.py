"""A site with a past, its proofs, and hands that change them.

Lists: version 1 with images 1 and 2, both cached; a day later version 2, where 1 was replaced, 2 was withdrawn, 3 came.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from support.server import Server
from support.site import Site, image_id
from vmcatcher.services.context import Context
from vmcatcher.services.proofs import ProofRequest, make_proof
from vmcatcher.store.layout import Layout
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.rules import TrustRules

RULES = TrustRules()
Change = Callable[[dict[str, Any]], None]


def site_with_a_past(root: Path, server: Server) -> Site:
    """Return the site after its second list and cache run."""
    site = Site(root, server)
    site.join(site.image(1), site.image(2))
    site.select(1, 2)
    site.cache()
    site.now += timedelta(days=1)
    site.publish("2", site.image(1, "2"), site.image(3))
    site.expect(32, "subscribe", "-U")  # nobody decided about image 3
    site.cache()
    return site


def context(site: Site) -> Context:
    """Return what services are given, at the site's time."""
    return Context(Layout(str(site.store), str(site.store / "blobs")), site.now, "test")


def anchors(site: Site) -> TrustAnchors:
    """Return the site's CAs as they are now."""
    return TrustAnchors.load(str(site.pki.certificates))


def proof_of(site: Site, number: int = 1, **which: str) -> bytes:
    """Return the proof of an image of the site."""
    return make_proof(context(site), anchors(site), RULES, ProofRequest(image_id(number), **which)).content


def sealed(document: dict[str, Any]) -> bytes:
    """Return the file of a proof document with a digest that holds: what somebody would write who lies on purpose."""
    document.pop("~sha256", None)
    text = json.dumps(document, indent=1, sort_keys=True)
    head = text.removesuffix("\n}").encode() + b",\n"
    return head + f' "~sha256": "{hashlib.sha256(head).hexdigest()}"\n}}\n'.encode()


def forged(proof: bytes, change: Change) -> bytes:
    """Return a proof in which `change` changed the document, with a digest that holds."""
    document = json.loads(proof)
    change(document)
    return sealed(document)
