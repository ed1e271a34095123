"""What the two kinds of policy files say, as their authors meant it, and never more."""

from __future__ import annotations

import pytest

from vmcatcher.model.identity import OneLineName
from vmcatcher.trust.policy import Grant, Kind, PolicyProblem, is_permitted, parse_policy

CA = "/DC=test/CN=CA"


def name(text: str) -> OneLineName:
    return OneLineName(escaped=text, plain=text)


def granted(kind: Kind, text: str) -> list[tuple[str | None, str, str]]:
    return [(grant.issuer, grant.verdict, grant.pattern) for grant in parse_policy(kind, text.encode(), "x")]


HEAD = f"access_id_CA X509 '{CA}'\npos_rights globus CA:sign\n"

ONE = "cond_subjects\tglobus\t'\"/x*\"'\r\n"

SIGNING: dict[str, tuple[str, list[str]]] = {
    "one-pattern": (HEAD + "cond_subjects globus '\"/DC=test/*\"'", ["/DC=test/*"]),
    "several-patterns": (HEAD + 'cond_subjects globus \'"/DC=a/*" "/DC=b c/*"\'', ["/DC=a/*", "/DC=b c/*"]),
    "quotes-the-other-way": (HEAD + 'cond_subjects globus "/DC=test/O=x y/*"', ["/DC=test/O=x y/*"]),
    "no-inner-quotes": (HEAD + "cond_subjects globus '/DC=test/CN=a b*'", ["/DC=test/CN=a b*"]),
    "words": (HEAD + "cond_subjects globus 'a* b*'", ["a*", "b*"]),
    "comments-and-tabs": (f"# a\n\n  access_id_CA\tX509\t'{CA}'  # b\npos_rights\tglobus CA:sign\r\n" + ONE, ["/x*"]),
    "lower-case-authority": (HEAD.replace("X509", "x509") + ONE, ["/x*"]),
    "negative-rights": (f"access_id_CA X509 '{CA}'\nneg_rights globus CA:sign\ncond_subjects globus '\"/x*\"'", []),
    "other-rights": (f"access_id_CA X509 '{CA}'\npos_rights globus other\ncond_subjects globus '\"/x*\"'", []),
    "other-condition": (HEAD + "cond_time globus '\"/x*\"'", []),
    "anybody": ("access_id_ANYBODY globus '*'\npos_rights globus CA:sign\ncond_subjects globus '\"*\"'", []),
    "second-entry-does-not-count": (
        HEAD + "cond_subjects globus '\"/a*\"'\n" + HEAD + "cond_subjects globus '\"/b*\"'",
        ["/a*"],
    ),
    "nothing": ("# only a comment\n", []),
}


@pytest.mark.parametrize(("text", "patterns"), SIGNING.values(), ids=SIGNING)
def test_signing_policy_grants_what_its_first_positive_right_says(text: str, patterns: list[str]) -> None:
    assert granted("signing_policy", text) == [(CA, "PERMIT", pattern) for pattern in patterns]


NAMESPACES: dict[str, tuple[str, list[tuple[str | None, str, str]]]] = {
    "permit": ('TO Issuer "/CN=CA" PERMIT Subject "/DC=a/.*"', [("/CN=CA", "PERMIT", "/DC=a/.*")]),
    "deny": ('TO Issuer "/CN=CA" DENY Subject "/DC=a/.*"', [("/CN=CA", "DENY", "/DC=a/.*")]),
    "self": ('TO Issuer SELF PERMIT Subject "/x"', [(None, "PERMIT", "/x")]),
    "continued": ('TO Issuer "/CN=CA" \\\n  PERMIT \\\nSubject "/x"\n', [("/CN=CA", "PERMIT", "/x")]),
    "continued-to-the-end": ('TO Issuer "/CN=CA" PERMIT Subject "/x" \\', [("/CN=CA", "PERMIT", "/x")]),
    "case": ('to issuer "/CN=CA" permit subject "/x"', [("/CN=CA", "PERMIT", "/x")]),
    "comment": ('#NAMESPACES-VERSION: 1.0\nTO Issuer "/CN=CA" PERMIT Subject "/x" # why', [("/CN=CA", "PERMIT", "/x")]),
    "several": (
        'TO Issuer "/CN=CA" PERMIT Subject "/x"\n\n# and\nTO Issuer "/CN=CB" \\\n DENY Subject "/y"\n',
        [("/CN=CA", "PERMIT", "/x"), ("/CN=CB", "DENY", "/y")],
    ),
    "nothing": ("\n# nothing\n", []),
}


@pytest.mark.parametrize(("text", "grants"), NAMESPACES.values(), ids=NAMESPACES)
def test_namespaces_grant_statement_by_statement(text: str, grants: list[tuple[str | None, str, str]]) -> None:
    assert granted("namespaces", text) == grants


BAD: dict[str, tuple[Kind, str, str]] = {
    "words": ("signing_policy", "pos_rights globus", "line 1: 2 words, expected 3"),
    "quotes": ("signing_policy", "access_id_CA X509 '/x", "line 1: quotes that do not match"),
    "keyword": ("signing_policy", "\npermit X509 x", "line 2: 'permit' is no word of the policy language"),
    "authority": ("signing_policy", "access_id_CA kerberos x", "line 1: authority 'kerberos', expected X509"),
    "order": ("signing_policy", "cond_subjects globus x", "line 1: a condition before any rights"),
    "between": (
        "signing_policy",
        HEAD + 'cond_subjects globus \'"/a" x "/b"\'',
        "line 3: text between the quoted subjects",
    ),
    "no-subjects": ("signing_policy", HEAD + "cond_subjects globus ' '", "line 3: no subjects"),
    "version": ("namespaces", "#NAMESPACES-VERSION: 2.0", "line 1: namespaces version 2.0, expected 1.0"),
    "statement": ("namespaces", 'PERMIT "/x"', 'line 1: not understood: PERMIT "/x"'),
    "continued": ("namespaces", "\nTO Issuer \\\nnobody", "line 2: not understood: TO Issuer nobody"),
}


@pytest.mark.parametrize(("kind", "text", "words"), BAD.values(), ids=BAD)
def test_policy_that_is_not_understood_is_refused_as_a_whole(kind: Kind, text: str, words: str) -> None:
    with pytest.raises(PolicyProblem) as caught:
        parse_policy(kind, text.encode(), "x")
    assert str(caught.value) == words


COVERS: list[tuple[Kind, str, str, bool]] = [
    ("signing_policy", "/DC=a/*", "/DC=a/CN=b", True),
    ("signing_policy", "/DC=a/*", "/DC=ab/CN=b", False),
    ("signing_policy", "/DC=a/*", "/dc=A/CN=b", False),
    ("signing_policy", "/DC=a/*", "/O=x/DC=a/CN=b", False),
    ("signing_policy", "/DC=a/CN=b", "/DC=a/CN=bc", False),
    ("signing_policy", "/DC=a/CN=*@x", "/DC=a/CN=me@x", True),
    ("signing_policy", "/DC=a/CN=*@x", "/DC=a/CN=me@xy", False),
    ("signing_policy", "/DC=a/CN=?", "/DC=a/CN=b", True),
    ("signing_policy", "/DC=a/CN=?", "/DC=a/CN=bc", False),
    ("signing_policy", "/CN=*a*b*", "/CN=xxaxxbxx", True),
    ("signing_policy", "/CN=*ab*ab", "/CN=ab", False),
    ("signing_policy", "/CN=*ab*ab", "/CN=abab", True),
    ("signing_policy", "/CN=a.c", "/CN=abc", False),
    ("signing_policy", "/CN=a.*", "/CN=abc", False),
    ("signing_policy", "*", "/CN=abc", True),
    ("signing_policy", "/Email=*", "/emailAddress=a@b", True),
    ("signing_policy", "/USERID=*", "/UID=a", True),
    ("namespaces", "/DC=a/.*", "/DC=a/CN=b", True),
    ("namespaces", "/DC=a/.*", "/DC=ab", False),
    ("namespaces", "/O=Inc./.*", "/O=Inc./CN=b", True),
    ("namespaces", "/O=Inc./.*", "/O=Incx/CN=b", False),
    ("namespaces", "/O=[Run by the Issuer]/.*", "/O=[Run by the Issuer]/CN=b", True),
    ("namespaces", "/O=[Run by the Issuer]/.*", "/O=R/CN=b", False),
    ("namespaces", "/O=a|/O=b", "/O=b", False),
    ("namespaces", r"/CN=a\.b", "/CN=a.b", True),
    ("namespaces", r"/CN=a\.b", "/CN=axb", False),
    ("namespaces", "/CN=a+", "/CN=aa", False),
    ("namespaces", "/CN=a.*.*.*.*.*.*b", "/CN=acb", True),
]


@pytest.mark.parametrize(("kind", "pattern", "subject", "expected"), COVERS)
def test_pattern_covers_what_its_author_meant(kind: Kind, pattern: str, subject: str, expected: bool) -> None:
    assert Grant(CA, "PERMIT", pattern, kind, "x", 1).covers(name(subject)) is expected


def test_escaped_slash_is_no_border_between_attributes() -> None:
    """A value `x/DC=grid/CN=y` must not pass for three attributes."""
    forged = OneLineName(escaped=r"/DC=test\/DC=grid\/CN=y", plain=None)
    assert not Grant(CA, "PERMIT", "/DC=test/DC=grid/*", "signing_policy", "x", 1).covers(forged)
    honest = OneLineName(escaped=r"/DC=test/CN=host\/y", plain="/DC=test/CN=host/y")
    assert Grant(CA, "PERMIT", "/DC=test/CN=host/*", "signing_policy", "x", 1).covers(honest)


def test_denial_wins_over_permission_whatever_the_order() -> None:
    permit = Grant(CA, "PERMIT", "/DC=a/.*", "namespaces", "x", 1)
    deny = Grant(CA, "DENY", "/DC=a/CN=evil.*", "namespaces", "x", 2)
    for grants in ([permit, deny], [deny, permit]):
        assert is_permitted(grants, name("/DC=a/CN=good"))
        assert not is_permitted(grants, name("/DC=a/CN=evil twin"))
        assert not is_permitted(grants, name("/DC=b/CN=x"))
    assert not is_permitted([], name("/DC=a"))


def test_grant_remembers_where_it_stands() -> None:
    (grant,) = parse_policy("namespaces", b'# one\n\nTO Issuer "/CN=CA" \\\n PERMIT Subject "/x"', "ca.namespaces")
    assert (grant.file, grant.line, grant.kind) == ("ca.namespaces", 3, "namespaces")
