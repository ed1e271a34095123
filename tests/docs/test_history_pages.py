"""The pages about history and proofs do what they say, also by hand with openssl."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.pages import DOCS, Step, is_there, lies, publisher, replaced, run, steps

_needs_openssl = pytest.mark.skipif(not is_there("openssl"), reason="needs openssl")
_needs_jq = pytest.mark.skipif(not is_there("jq"), reason="needs jq")

# A site that has subscribed to the tutorial's list and keeps its image.
_SITE = Step(
    """export VMCATCHER_STORE=$PWD/store VMCATCHER_DIR_CERT=$PWD/certificates
vmcatcher_endorser -C -e alice --subject "/DC=org/DC=example/CN=Alice" --issuer "/DC=org/DC=example/CN=Tutorial CA"
vmcatcher_subscribe -s "$(sed -n 's/.*"hv:uri": "\\(.*image_list\\)".*/\\1/p' endorser/list.json)" \\
    --imagelist-newimage-accept
vmcatcher_subscribe -U
vmcatcher_image -a -u worker
vmcatcher_cache
""",
    "",
)
# Version 2 of the list: other bytes for `worker`, and one image more.
_NEXT = Step(
    """sleep 1; head -c 2000000 /dev/zero >published/worker-2.raw
jq --arg digest "$(sha512sum published/worker-2.raw | cut -d ' ' -f 1)" --arg now "$(date -u +%Y-%m-%dT%H:%M:%SZ)" '
  ."hv:imagelist" |= (."hv:version" = "2" | ."dc:date:created" = $now
    | ."hv:images"[0]."hv:image" |= (."hv:version" = "2" | ."hv:size" = 2000000
      | ."hv:uri" |= sub("worker.raw"; "worker-2.raw") | ."sl:checksum:sha512" = $digest)
    | ."hv:images"[1]."hv:image" =
        (."hv:images"[0]."hv:image" | ."dc:identifier" = "builder" | ."dc:title" = "Builder"))
' endorser/list.json >endorser/list-2.json
openssl smime -sign -md sha256 -in endorser/list-2.json -signer endorser/cert.pem -inkey endorser/key.pem \\
    -out published/tutorial.image_list
vmcatcher_subscribe -U && vmcatcher_cache
""",
    "",
)


def _page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.slow
@_needs_openssl
@_needs_jq
def test_history_is_as_told(tmp_path: Path, port: int) -> None:
    wanted = steps(_page("how-to/see-what-was-endorsed-when.md"))
    done = run([*publisher(port), _SITE, _NEXT, *wanted], tmp_path / "work")
    assert lies(done) == []
    assert len(wanted) >= 3


@pytest.mark.slow
@_needs_openssl
@_needs_jq
def test_image_is_proved_as_told_and_by_hand(tmp_path: Path, port: int) -> None:
    """The image on the other machine is a copy; settings of the site are not there."""
    how, by_hand = steps(_page("how-to/prove-an-image.md")), steps(_page("reference/proof-format.md"))
    move = Step("cp published/worker.raw worker.raw; unset VMCATCHER_STORE VMCATCHER_DIR_CERT", "")
    forge = Step("echo other >worker.raw", "")
    *done, found = run(
        [*publisher(port), _SITE, how[0], move, *how[1:], *by_hand, forge, by_hand[-1]], tmp_path / "work"
    )
    assert lies(done) == []
    assert "worker.raw: FAILED" in found[1]
    assert len(by_hand) >= 8


def test_pages_know_of_each_other() -> None:
    replaced(_page("how-to/prove-an-image.md"), ("../reference/proof-format.md", ""))
    replaced(_page("how-to/see-what-was-endorsed-when.md"), ("prove-an-image.md", ""))
