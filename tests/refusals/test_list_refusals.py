"""Every way in which a list is refused through the commands: what is said, the exit code, and a store as it was."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from support import defects
from support.pki import Pki
from support.site import LIST_ID, Site, image_id

Arrange = Callable[[Site], object]


@dataclass(frozen=True)
class Refusal:
    """One thing that is wrong with a list: the exit codes of -U and of -s, and what stderr has to name."""

    arrange: Arrange
    update: int
    subscribe: int | None
    """None where the same thing is no reason to refuse a first subscription."""
    says: tuple[str, ...]


CASES: dict[str, Refusal] = {}


def refused(update: int, *says: str, subscribe: int | None = 1) -> Callable[[Arrange], Arrange]:
    """Note that what the decorated function arranges is refused; `says` are patterns of one stderr line."""

    def note(arrange: Arrange) -> Arrange:
        CASES[arrange.__name__] = Refusal(arrange, update, subscribe, says)
        return arrange

    return note


# -- the list cannot be had


@refused(10, "refused the connection", "127.0.0.1", subscribe=10)
def server_down(site: Site):
    site.server.close()


@refused(10, "not found", "404", subscribe=10)
def not_found(site: Site):
    site.server.withdraw("/list")


@refused(10, "user name and password", "401", subscribe=10)
def login_needed(site: Site):
    site.server.require_password("somebody", "else")


@refused(10, "status 500", subscribe=10)
def server_error(site: Site):
    site.server.fault("/list", "status", status=500, retry_after="3600")


@refused(10, "redirects", subscribe=10)
def redirect_loop(site: Site):
    site.server.fault("/list", "loop")


@refused(10, "redirect to 'file:///etc/passwd' not followed", subscribe=10)
def redirect_to_a_file(site: Site):
    site.server.fault("/list", "redirect", to="file:///etc/passwd")


@refused(10, "'gzip'", subscribe=10)
def compressed(site: Site):
    site.server.fault("/list", "gzip")


@refused(10, "more than 65536 bytes", subscribe=10)
def endless(site: Site):
    site.environment["VMCATCHER_LIST_BYTES"] = "65536"
    site.server.fault("/list", "endless")


@refused(10, "'not modified' to a plain request", subscribe=10)
def not_modified_unasked(site: Site):
    site.server.publish("/list", b"", etag="", last_modified="")
    shutil.rmtree(site.store / "subscriptions" / LIST_ID / "lists", ignore_errors=True)
    site.server.fault("/list", "304-unasked")


# -- it is not signed as it must be (trust_refusals has every way; here is one of each kind)


@refused(11, "not a signed list", "text/html")
def fault_80_login_page(site: Site):
    site.server.fault("/list", "html200")


@refused(11, "not a signed list", "bare JSON")
def fault_80_unsigned(site: Site):
    site.server.publish("/list", site.content("2", site.image(1)))


@refused(11, "not a signed list", "empty")
def fault_80_empty(site: Site):
    site.server.publish("/list", b"")


@refused(11, "changed after it was signed")
def fault_80_tampered(site: Site):
    signed = site.publish("2", site.image(1))
    site.server.publish("/list", signed.replace(b"Test image 1", b"Best image 1"))


@refused(11, "without its closing boundary")
def fault_80_cut_short(site: Site):
    signed = site.publish("2", site.image(1))
    site.server.publish("/list", signed[: len(signed) // 2])


@refused(11, "signer's certificate .*Alice Endorser .*was revoked by .*Test Grid CA")
def fault_81_signer_revoked(site: Site):
    site.publish("2", site.image(1))
    site.pki.revoke(site.alice)


@refused(11, "CA certificate .*Test Sub CA .*was revoked by .*Test Grid CA")
def fault_81_intermediate_revoked(site: Site):
    below = site.pki.intermediate()
    signer = below.endorser("Bob Endorser")
    _endorse(site, signer.subject, signer.issuer)
    signed = signer.sign(site.content("2", site.image(1), signer=signer), extra=[below.parsed])
    site.server.publish("/list", signed)
    site.pki.revoke(below)


@refused(11, "CRL of CA .*Test Grid CA", "not signed with the key of that CA")
def fault_81_crl_forged(site: Site):
    site.publish("2", site.image(1))
    site.pki.write_forged_crl()


@refused(11, "no CRL of CA .*Test Grid CA", "Alice Endorser")
def fault_81_crl_missing(site: Site):
    site.publish("2", site.image(1))
    site.pki.remove_crl()


@refused(11, "CRL of CA .*Test Grid CA expired")
def fault_81_crl_stale(site: Site):
    site.publish("2", site.image(1))
    site.pki.write_stale_crl()


@refused(11, "Test Grid CA may not issue .*Alice Endorser", "namespaces|signing_policy")
def fault_81_signer_outside_namespace(site: Site):
    site.publish("2", site.image(1))
    site.pki.write_policies("/DC=test/DC=elsewhere/*")


@refused(11, "signer's certificate .*Alice Endorser", "expired")
def fault_81_signer_expired(site: Site):
    site.publish("2", site.image(1), signer=site.pki.endorser("Alice Endorser", defects.expired))


@refused(11, "Alice Endorser", "keyEncipherment only")
def fault_81_signer_may_not_sign(site: Site):
    site.publish("2", site.image(1), signer=site.pki.endorser("Alice Endorser", defects.for_encryption_only))


@refused(11, "Alice Endorser", "not signed with the key of that CA")
def fault_81_signed_under_a_ca_of_the_same_name(site: Site):
    stranger = Pki(site.root / "stranger").endorser("Alice Endorser")
    site.publish("2", site.image(1), signer=stranger)


@refused(75, "no CA certificate could be read", subscribe=75)
def trust_directory_empty(site: Site):
    for path in site.pki.certificates.iterdir():
        path.unlink()


@refused(1, "Invalid x509 trust store directory")
def trust_directory_missing(site: Site):
    shutil.rmtree(site.pki.certificates)


# -- it was signed by somebody else


@refused(12, "hv:dn", "/CN=Somebody Else", "Alice Endorser")
def fault_62_other_subject_named(site: Site):
    _publish_naming(site, {"hv:dn": "/DC=test/DC=grid/CN=Somebody Else"})


@refused(12, "hv:ca", "/CN=Other CA", "Test Grid CA")
def fault_62_other_issuer_named(site: Site):
    _publish_naming(site, {"hv:ca": "/DC=test/DC=grid/CN=Other CA"})


@refused(13, LIST_ID, "Alice Endorser", "no endorser of subscription", subscribe=None)
def fault_62_endorser_unlinked(site: Site):
    site.publish("2", site.image(1))
    site.expect(0, "endorser", "-u", "-e", "alice", "-s", LIST_ID)


@refused(13, LIST_ID, "Alice Endorser", subscribe=None)
def fault_62_endorser_deleted(site: Site):
    site.publish("2", site.image(1))
    site.expect(0, "endorser", "-D", "-e", "alice")


@refused(13, LIST_ID, "Bob Endorser", subscribe=None)
def fault_62_endorser_of_another_list(site: Site):
    bob = site.pki.endorser("Bob Endorser")
    site.expect(0, "endorser", "-C", "-e", "bob", "--dn", bob.subject, "-I", bob.issuer)
    site.publish("2", site.image(1), signer=bob)


@refused(13, LIST_ID, "Carol Endorser", subscribe=None)
def fault_62_second_credential_of_an_endorser_who_is_not_linked(site: Site):
    """The classic program took row 3 of the credentials for row 3 of the endorsers, and let Carol in as Bob."""
    carol = site.pki.endorser("Carol Endorser")
    site.expect(0, "endorser", "-C", "-e", "multi", "--dn", "/CN=first", "--dn", carol.subject, "-I", carol.issuer)
    _endorse(site, "/DC=test/DC=grid/CN=Bob", site.pki.subject)
    site.publish("2", site.image(1), signer=carol)


@refused(13, "Mallory Endorser")
def fault_62_endorser_unknown(site: Site):
    """At -s the exit code is 1 and the advice is --auto-endorse."""
    site.publish("2", site.image(1), signer=site.pki.endorser("Mallory Endorser"))


# -- it is another list, an older one, or one of another time


@refused(31, LIST_ID, "other-list", subscribe=None)
def fault_61_identifier_changed(site: Site):
    site.publish("2", site.image(1), dc__identifier="other-list")


@refused(17, LIST_ID, "version 1.9 is lower than version 1.10")
def fault_56_version_lower(site: Site):
    site.publish("1.9", site.image(1))


@refused(16, LIST_ID, "version 1.10", "other content")
def fault_58_same_version_created_earlier(site: Site):
    _publish_created(site, timedelta(minutes=-2))


@refused(16, LIST_ID, "version 1.10", "other content")
def fault_57_same_version_created_at_the_same_time(site: Site):
    _publish_created(site, timedelta(minutes=-1))


@refused(33, LIST_ID, "after now")
def from_the_future(site: Site):
    created = _instant(site, timedelta(minutes=5, seconds=1))
    site.publish("2", site.image(1), dc__date__created=created)


@refused(34, LIST_ID, "expired", "now is")
def expired(site: Site):
    site.publish("2", site.image(1), dc__date__expires=_instant(site, timedelta(0)))


# -- it is no list, or not a whole one


@refused(37, "not JSON")
def fault_79_not_json(site: Site):
    _publish_content(site, b"hello\n")


@refused(37, "byte order mark")
def fault_76_byte_order_mark(site: Site):
    _publish_content(site, b"\xef\xbb\xbf" + site.content("2", site.image(1)))


@refused(37, "JSON object", "null")
def fault_79_json_null(site: Site):
    _publish_content(site, b"null\n")


@refused(37, "JSON object", "a list")
def fault_79_json_array(site: Site):
    _publish_content(site, b"[]\n")


@refused(37, "hv:imagelist")
def fault_79_something_else_than_a_list(site: Site):
    _publish_content(site, b'{"hv:imagelist": "no"}\n')


@refused(37, "'hv:version' twice")
def fault_72_duplicate_key(site: Site):
    content = site.content("2", site.image(1))
    _publish_content(site, content.replace(b'"hv:version": "2"', b'"hv:version": "2", "hv:version": "3"', 1))


@refused(37, "NaN")
def fault_73_not_a_number(site: Site):
    _publish_content(site, site.content("2").replace(b'"hv:images": []', b'"hv:images": [], "x": NaN'))


@refused(37, "levels deep")
def fault_74_too_deep(site: Site):
    _publish_content(site, b'{"hv:imagelist":' + b"[" * 5000 + b"]" * 5000 + b"}")


@refused(37, "'dc:title'", "surrogate")
def fault_76_lone_surrogate(site: Site):
    _publish_content(site, site.content("2").replace(b"Test list title", b"\\ud800"))


@refused(38, image_id(1), "images 1 and 2")
def fault_64_duplicate_image(site: Site):
    site.publish("2", site.image(1), site.image(1))


@refused(38, "'dc:date:expires'", "tomorrow")
def fault_79_date_that_is_none(site: Site):
    site.publish("2", site.image(1), dc__date__expires="tomorrow")


@refused(38, "'dc:date:created'", "a time with a zone")
def fault_79_date_without_a_zone(site: Site):
    site.publish("2", site.image(1), dc__date__created="2026-01-01T00:00:00")


@refused(38, "'hv:images'")
def fault_79_images_that_are_no_array(site: Site):
    site.publish("2", hv__images={"hv:image": {}})


@refused(38, "'dc:identifier'", r"\.\./\.\./escape")
def fault_65_identifier_that_is_a_path(site: Site):
    site.publish("2", site.image(1), dc__identifier="../../escape")


for _kind, _uri, _why in (
    ("fault_67_uri_with_spaces", "no uri at all", "holds a space"),
    ("fault_66_uri_of_another_scheme", "ftp://127.0.0.1/list", "'ftp' is not known"),
    ("fault_68_uri_with_password", "http://user:CANARY@127.0.0.1/list", "holds a user name"),
    ("fault_67_uri_with_escape", "http://127.0.0.1/\x1b[2J", "cannot be printed"),
):

    def _with_uri(site: Site, uri: str = _uri) -> None:
        site.publish("2", site.image(1), hv__uri=uri)

    _with_uri.__name__ = _kind
    refused(38, "'hv:uri'", _why)(_with_uri)


for _field in ("dc:identifier", "dc:date:created", "dc:date:expires", "hv:version", "hv:uri", "hv:endorser"):

    def _without(site: Site, name: str = _field) -> None:
        site.publish("2", site.image(1), **{name.replace(":", "__"): None})

    _without.__name__ = f"fault_79_without_{_field}"
    refused(38, f"'{_field}'")(_without)


def _publish_content(site: Site, content: bytes) -> None:
    site.server.publish("/list", site.alice.sign(content))


def _publish_naming(site: Site, changes: dict[str, str]) -> None:
    document = json.loads(site.content("2", site.image(1)))
    document["hv:imagelist"]["hv:endorser"]["hv:x509"].update(changes)
    _publish_content(site, json.dumps(document).encode())


def _publish_created(site: Site, ago: timedelta) -> None:
    site.publish("1.10", site.image(1), dc__title="other content", dc__date__created=_instant(site, ago))


def _instant(site: Site, later: timedelta) -> str:
    return (site.now + later).strftime("%Y-%m-%dT%H:%M:%SZ")


def _endorse(site: Site, subject: str, issuer: str) -> None:
    """Know an endorser, and link it where there is a subscription."""
    site.expect(0, "endorser", "-C", "-e", "bob", "--dn", subject, "-I", issuer)
    site.expect(0, "endorser", "-k", "-e", "bob", "-s", LIST_ID)


def _tree(site: Site) -> dict[str, str]:
    return {path: what for path, what in site.tree().items() if not path.endswith("/fetch.json")}


def _says(err: str, patterns: tuple[str, ...]) -> bool:
    lines = [line for line in err.splitlines() if line.startswith("ERROR:")]
    return any(all(re.search(pattern, line) for pattern in patterns) for line in lines)


@pytest.mark.parametrize("name", CASES)
def test_update_refuses_and_keeps_what_is_there(name: str, site: Site):
    case = CASES[name]
    site.publish("1.10", site.image(1))
    site.join()
    site.select(1)
    case.arrange(site)
    before = _tree(site)
    result = site.run("subscribe", "-U")
    assert result.code == case.update, result
    assert _says(result.err, case.says), result.err
    assert "Traceback" not in result.err
    assert "CANARY" not in result.err
    assert result.out == ""
    assert _tree(site) == before


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.subscribe is not None])
def test_first_subscription_is_refused_and_leaves_nothing(name: str, site: Site):
    case = CASES[name]
    site.publish("1.10", site.image(1))
    site.join()
    site.expect(0, "subscribe", "-D", "-u", LIST_ID)
    case.arrange(site)
    before = _tree(site)
    result = site.run("subscribe", "-s", site.server.url("/list"))
    assert result.code == case.subscribe, result
    assert _says(result.err, case.says), result.err
    assert "Traceback" not in result.err
    assert result.out == ""
    assert _tree(site) == before
    assert site.expect(0, "subscribe", "-l").out == ""


def test_first_subscription_of_an_unreadable_place_is_refused(site: Site):
    site.expect(0, "endorser", "-C", "-e", "alice", "--dn", site.alice.subject, "-I", site.alice.issuer)
    before = site.tree()
    (site.root / "link").symlink_to("/etc/passwd")
    for uri, code, says in (
        (str(site.root / "missing"), 10, "no such file"),
        (f"file://{site.root}/missing", 10, "no such file"),
        (str(site.root), 10, "directory"),
        (str(site.root / "link"), 10, "link"),
        ("ftp://127.0.0.1/list", 1, "scheme 'ftp' is not known"),
        ("http://", 1, "names no host"),
        ("http://127.0.0.1:0/list", 1, "port"),
        ("http://server.invalid/list", 10, "server.invalid"),
        ("", 1, "empty"),
    ):
        result = site.run("subscribe", "-s", uri)
        assert result.code == code, (uri, result)
        assert _says(result.err, (says,)), (uri, result)
    assert site.tree() == before


def test_fault_56_older_list_is_refused_after_the_subscription_was_made_again(site: Site):
    old = site.publish("1", site.image(1))
    site.join()
    site.publish("2", site.image(1))
    site.expect(0, "subscribe", "-U")
    site.expect(0, "subscribe", "-D", "-u", LIST_ID)
    site.server.publish("/list", old)
    before = site.tree()
    result = site.run("subscribe", "-s", site.server.url("/list"))
    assert result.code == 1
    assert _says(result.err, ("version 1 is lower than version 2", LIST_ID))
    assert site.tree() == before
    site.publish("3", site.image(1))
    site.expect(0, "subscribe", "-s", site.server.url("/list"))
    site.server.publish("/list", old)
    assert site.run("subscribe", "-U").code == 17


def test_fault_56_older_list_is_refused_between_subscribing_and_the_first_update(site: Site):
    old = site.publish("1", site.image(1))
    site.publish("2", site.image(1))
    site.join(update=False)
    site.server.publish("/list", old)
    assert site.run("subscribe", "-U").code == 17


def test_fault_56_older_list_is_refused_after_a_crash_between_snapshot_and_mark(site: Site):
    site.publish("1", site.image(1))
    site.join()
    mark = site.store / "marks" / f"{LIST_ID}.json"
    before_update = mark.read_bytes()
    middle = site.publish("2", site.image(1))
    site.publish("3", site.image(1))
    site.expect(0, "subscribe", "-U")
    mark.write_bytes(before_update)
    site.server.publish("/list", middle)
    before = _tree(site)
    result = site.run("subscribe", "-U")
    assert result.code == 17
    assert _says(result.err, ("version 2 is lower than version 3",))
    assert _tree(site) == before


def test_crash_between_snapshot_and_mark_is_healed_by_the_next_update(site: Site):
    site.publish("1", site.image(1))
    site.join()
    mark = site.store / "marks" / f"{LIST_ID}.json"
    before_update = mark.read_bytes()
    site.publish("2", site.image(1))
    site.expect(0, "subscribe", "-U")
    whole = mark.read_bytes()
    mark.write_bytes(before_update)
    site.expect(0, "subscribe", "-U")
    assert mark.read_bytes() == whole


def test_fault_56_lost_mark_is_replaced_by_the_snapshot(site: Site):
    old = site.publish("1", site.image(1))
    site.join()
    site.publish("2", site.image(1))
    site.expect(0, "subscribe", "-U")
    (site.store / "marks" / f"{LIST_ID}.json").unlink()
    site.server.publish("/list", old)
    assert site.run("subscribe", "-U").code == 17


def test_fault_57_same_version_created_later_is_taken_with_a_warning(site: Site):
    site.publish("1", site.image(1))
    site.join()
    site.publish("1", site.image(1), dc__description="corrected", dc__date__created=_instant(site, timedelta(0)))
    result = site.expect(0, "subscribe", "-U")
    assert re.search(r"^WARNING:.*version 1 has other content", result.err, re.MULTILINE)
    assert "subscription.dc:description=corrected" in site.run("subscribe", "-i", "-u", LIST_ID).lines
    assert site.expect(0, "subscribe", "-U").err == ""


@pytest.mark.parametrize(("seconds", "code"), [(300, 0), (301, 33)])
def test_clock_may_be_five_minutes_slow(site: Site, seconds: int, code: int):
    site.publish("1", site.image(1))
    site.join()
    site.publish("2", site.image(1), dc__date__created=_instant(site, timedelta(seconds=seconds)))
    assert site.run("subscribe", "-U").code == code


@pytest.mark.parametrize(("seconds", "code"), [(1, 0), (0, 34)])
def test_fault_59_list_holds_until_the_second_it_expires(site: Site, seconds: int, code: int):
    site.publish("1", site.image(1))
    site.join()
    site.publish("2", site.image(1), dc__date__expires=_instant(site, timedelta(seconds=seconds)))
    assert site.run("subscribe", "-U").code == code


def test_fault_59_current_list_that_expires_is_told_at_every_update(site: Site):
    site.join(site.image(1))
    site.now += timedelta(days=21)
    for _ in range(2):
        assert site.run("subscribe", "-U").code == 34
    assert site.states() == {image_id(1): 0}


@pytest.mark.parametrize(
    ("spoiled", "says"),
    [
        ({"dc__identifier": "../../escape"}, ("image 2", r"'dc:identifier'")),
        ({"dc__identifier": "cache.index"}, ("image 2", r"'dc:identifier'")),
        ({"dc__identifier": None}, ("image 2", r"'dc:identifier'")),
        ({"hv__size": "many"}, ("image 2", r"'hv:size'", "many")),
        ({"hv__size": -1}, ("image 2", r"'hv:size'", "-1")),
        ({"hv__size": None}, ("image 2", r"'hv:size'")),
        ({"sl__checksum__sha512": "00"}, ("image 2", r"'sl:checksum:sha512'")),
        ({"sl__checksum__sha512": None}, ("image 2", r"'sl:checksum:sha512'")),
        ({"hv__uri": "ftp://127.0.0.1/image"}, ("image 2", r"'hv:uri'", "ftp")),
        ({"hv__uri": "http://user:word@127.0.0.1/image"}, ("image 2", r"'hv:uri'")),
        ({"hv__uri": None}, ("image 2", r"'hv:uri'")),
    ],
    ids=lambda value: next(iter(value.items())).__repr__() if isinstance(value, dict) else "",
)
def test_bad_image_is_left_out_and_its_neighbours_are_kept(
    site: Site, spoiled: dict[str, object], says: tuple[str, ...]
):
    site.join(site.image(1), site.image(2), site.image(3))
    site.publish("2", site.image(1), site.image(2, **spoiled), site.image(3))
    result = site.run("subscribe", "-U")
    assert result.code == 1
    assert _says(result.err, says), result.err
    assert "word" not in result.err
    assert site.states() == {image_id(1): 2, image_id(2): 0, image_id(3): 2}


def test_bad_image_does_not_stop_a_first_subscription(site: Site):
    site.publish("1", site.image(1), site.image(2, hv__size=None))
    site.expect(0, "endorser", "-C", "-e", "alice", "--dn", site.alice.subject, "-I", site.alice.issuer)
    result = site.expect(0, "subscribe", "-s", site.server.url("/list"))
    assert _says(result.err, ("image 2", "'hv:size'"))
    assert site.states() == {image_id(1): 0}


def test_refusal_leaves_its_reason_in_the_bookkeeping(site: Site):
    site.join(site.image(1))
    site.publish("0", site.image(1))
    site.run("subscribe", "-U")
    path = Path(site.store / "subscriptions" / LIST_ID / "fetch.json")
    assert json.loads(path.read_text())["error_id"] == "list-rollback"
    site.publish("2", site.image(1))
    site.expect(0, "subscribe", "-U")
    assert json.loads(path.read_text())["error_id"] is None
