"""What `trust explain` says stops a list is what an update refuses it with, for every refusal of `test_list_refusals`.

For those of the trust room alone `test_trust_refusals` says the same.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from refusals import test_list_refusals as lists
from support import defects
from support.pki import Pki, x509_name
from support.site import LIST_ID, Site
from vmcatcher import grounds, wiring
from vmcatcher.errors import VmcatcherError
from vmcatcher.model.explanation import Outcome
from vmcatcher.services.subscriptions import stored_subscription
from vmcatcher.services.trust_explain import Explanation, explain_served
from vmcatcher.settings import load_settings
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.explain import examine
from vmcatcher.trust.rules import TrustRules


def _explained(site: Site) -> Explanation:
    """Explain what the URI of the subscription serves now, as the command does."""
    settings = load_settings({}, environment={"HOME": str(site.root), **site.environment})
    with mock.patch.object(wiring, "clock", return_value=site.now):
        context = wiring.reading(settings, "test")
        assert context is not None
        subscription = stored_subscription(context, LIST_ID)
        assert subscription is not None
        ground = grounds.trust_ground(settings, context)
        with grounds.list_network(settings) as transport:
            return explain_served(context, ground, transport, subscription)


@pytest.mark.slow
@pytest.mark.parametrize("name", lists.CASES)
def test_first_step_that_fails_is_what_an_update_says(name: str, site: Site) -> None:
    site.publish("1.10", site.image(1))
    site.join()
    lists.CASES[name].arrange(site)
    before = site.tree()
    try:
        error = _explained(site).refusal
    except VmcatcherError as refusal:
        error = refusal  # the trust-anchor directory itself is of no use
    assert error is not None
    assert site.tree() == before
    result = site.run("subscribe", "-U")
    assert result.code != 0
    said = [line for line in result.err.splitlines() if line.startswith("ERROR:")]
    assert any(error.one_line() in line for line in said), (error.one_line(), said)


@pytest.mark.parametrize("numbers", [(1,), (1, 2)])
def test_list_that_an_update_takes_has_no_step_that_fails(numbers: tuple[int, ...], site: Site) -> None:
    site.join(*(site.image(number) for number in numbers))
    site.publish("2", *(site.image(number) for number in numbers))
    found = _explained(site)
    assert found.refusal is None
    assert {step.outcome for step in found.steps} == {Outcome.OK}
    assert [step.name for step in found.steps] == [
        "fetch", "size", "wrapper", "block", "signature", "signer", "chain", "namespace", "revocation", "content",
        "list", "named-signer", "endorser", "identifier", "version", "dates",
    ]  # fmt: skip
    site.expect(0, "subscribe", "-U")


def test_of_two_refusals_by_crls_the_one_nearer_to_the_root_comes_first(tmp_path: Path):
    pki = Pki(tmp_path)
    below = pki.intermediate()
    signed = below.endorser().sign(b"{}")
    below.remove_crl()
    pki.revoke(below)
    anchors = TrustAnchors.load(str(pki.certificates))
    examined = examine(signed, anchors, pki.now, TrustRules())
    failed = [step.error.id for step in examined.steps if step.error is not None]
    assert failed == ["ca-revoked", "crl-missing"]
    assert examined.refusal is not None
    assert examined.refusal.id == "ca-revoked"


def test_chain_that_is_late_is_looked_at_all_the_same(tmp_path: Path):
    """That the CA is over is no reason not to say that its CRL is missing, too."""
    pki = Pki(tmp_path, now=datetime.now(UTC) - timedelta(days=4000))
    signed = pki.endorser("Alice", defects.named(x509_name("/DC=elsewhere/CN=Alice"))).sign(b"{}")
    pki.remove_crl()
    examined = examine(signed, TrustAnchors.load(str(pki.certificates)), datetime.now(UTC), TrustRules())
    failed = [(step.name, step.error.id) for step in examined.steps if step.error is not None]
    assert failed == [
        ("signer", "signer-expired"),
        ("chain", "ca-expired"),
        ("namespace", "signer-outside-namespace"),
        ("revocation", "crl-missing"),
    ]
