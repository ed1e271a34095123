"""vmcatcher_image: which images there are, in which state, and which are wanted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from support.site import LIST_ID, Site, image_id

OTHER = "other-list"


def _digest(image: dict[str, object]) -> str:
    return str(image["sl:checksum:sha512"])


def _details(site: Site, number: int) -> list[str]:
    return site.expect(0, "image", "-i", "-u", image_id(number)).lines


def _publish_other(site: Site, *images: dict[str, object]) -> None:
    uri = site.server.url("/other")
    site.publish("1", *images, path="/other", dc__identifier=OTHER, hv__uri=uri)
    site.expect(0, "subscribe", "-s", uri)
    site.expect(0, "subscribe", "-U")


def test_images_are_listed_in_the_order_of_subscriptions_and_lists(site: Site):
    site.join(site.image(9), site.image(1))
    site.now += timedelta(seconds=1)
    _publish_other(site, site.image(5))
    assert list(site.states()) == [image_id(9), image_id(1), image_id(5)]


def test_selection_takes_several_images_and_leaves_the_others(site: Site):
    site.join(site.image(1), site.image(2), site.image(3))
    site.select(1, 3)
    site.expect(0, "image", "-r", "-u", image_id(3))
    assert site.states() == {image_id(1): 3, image_id(2): 2, image_id(3): 2}


def test_selecting_what_is_selected_writes_nothing(site: Site):
    site.join(site.image(1))
    site.select(1)
    before = site.tree()
    site.select(1)
    assert site.tree() == before


def test_selection_before_the_first_update_is_kept(site: Site):
    site.join(site.image(1), update=False)
    site.select(1)
    assert site.states() == {image_id(1): 1}
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 3}


@pytest.mark.parametrize("selector", ["nosuch", "", "../../escape", "\0", "a\nb", "a" * 5000, "\udcff"])
@pytest.mark.parametrize("option", ["-u", "-s"])
def test_unknown_image_is_a_warning_and_the_known_ones_are_selected(site: Site, selector: str, option: str):
    one = site.image(1)
    site.join(one)
    known = image_id(1) if option == "-u" else _digest(one)
    for action, state in (("-a", 3), ("-r", 2)):
        result = site.expect(0, "image", action, option, selector, option, known)
        assert result.err.startswith("WARNING:")
        assert result.err.count("\n") == 1
        assert site.states() == {image_id(1): state}


@pytest.mark.parametrize("spelling", [str.lower, str.upper])
def test_digest_selects_every_image_that_has_it(site: Site, spelling: type[str]):
    content = b"the same bytes"
    images = [site.image(number, content=content, path=f"/{number}") for number in (1, 2)]
    site.join(*images, site.image(3))
    site.expect(0, "image", "-a", "-s", spelling(_digest(images[0])))
    assert site.states() == {image_id(1): 3, image_id(2): 3, image_id(3): 2}


def test_digest_of_an_earlier_version_selects_the_image(site: Site):
    old = site.image(1)
    site.join(old, site.image(2))
    site.publish("2", site.image(1, "2"), site.image(2))
    site.expect(0, "subscribe", "-U")
    site.expect(0, "image", "-a", "-s", _digest(old))
    assert site.states() == {image_id(1): 3, image_id(2): 2}
    assert f"imagedef.dc:identifier={image_id(1)}" in site.expect(0, "image", "-i", "-s", _digest(old)).lines


def test_digest_means_the_image_that_has_it_now_before_one_that_had_it(site: Site):
    swapped = site.image(1)
    site.join(swapped, site.image(2))
    site.publish("2", site.image(1, "2"), {**swapped, "dc:identifier": image_id(2)})
    site.expect(0, "subscribe", "-U")
    site.expect(0, "image", "-a", "-s", _digest(swapped))
    assert site.states() == {image_id(1): 2, image_id(2): 3}


def test_damaged_snapshot_of_the_past_does_not_hide_the_images(site: Site):
    old = site.image(1)
    site.join(old)
    (evidence,) = (site.store / "subscriptions" / LIST_ID / "lists").glob("*.evidence")
    evidence.write_text("{")
    site.publish("2", site.image(1, "2"))
    site.expect(0, "subscribe", "-U")
    result = site.expect(0, "image", "-a", "-s", _digest(old), "-s", _digest(site.image(1, "2")))
    assert result.err.count("WARNING") == 1
    assert site.states() == {image_id(1): 3}


_opened: list[str] | None = None


def _note_opening(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None and str(arguments[0]).endswith(".evidence"):
        _opened.append(str(arguments[0]))


sys.addaudithook(_note_opening)


def test_unknown_digest_reads_each_list_once_however_many_images_there_are(site: Site, monkeypatch: pytest.MonkeyPatch):
    site.server.publish("/image", b"x")
    images = [site.image(number, content=b"x", path="/image") for number in range(20)]
    site.join(*images)
    for version in ("2", "3"):
        site.publish(version, *images)
        site.expect(0, "subscribe", "-U")
    monkeypatch.setattr(sys.modules[__name__], "_opened", [])
    assert site.expect(0, "image", "-a", "-s", "0" * 128, "-s", "1" * 128).err
    assert _opened is not None
    assert len(_opened) == 2


def test_state_follows_the_expiry_of_the_image_and_of_the_list(site: Site):
    until = (site.now + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    site.join(site.image(1, dc__date__expires=until), site.image(2))
    assert site.states() == {image_id(1): 2, image_id(2): 2}
    site.now += timedelta(days=1)
    assert site.states() == {image_id(1): 0, image_id(2): 2}
    site.now += timedelta(days=19)
    assert site.states() == {image_id(1): 0, image_id(2): 0}


def test_stale_index_is_made_again_in_memory_and_answers_the_same(site: Site):
    site.join(site.image(1), site.image(2))
    site.select(2)
    expected = site.states()
    index = site.store / "subscriptions" / LIST_ID / "index.tsv"
    for damage in (b"", b"#vmcatcher-index\t1\tx\n", b"\xff\n", index.read_bytes()[:-20], index.read_bytes() + b"x\n"):
        index.write_bytes(damage)
        before = index.read_bytes()
        assert site.states() == expected
        assert index.read_bytes() == before
    index.unlink()
    assert site.states() == expected


def test_copied_store_answers_the_same(site: Site):
    site.join(site.image(1), site.image(2))
    site.select(1)
    expected = site.states()
    copy = site.root / "copy"
    subprocess.run(["cp", "-r", str(site.store), str(copy)], check=True)
    site.environment["VMCATCHER_STORE"] = str(copy)
    assert site.states() == expected


def test_deleting_by_an_image_deletes_the_subscription_that_owns_it(site: Site):
    one = site.image(1)
    site.join(one, site.image(2))
    _publish_other(site, site.image(5))
    site.expect(0, "image", "-D", "-s", _digest(one), "-s", _digest(one))
    assert site.states() == {image_id(5): 2}
    result = site.run("image", "-D", "-u", image_id(1))
    assert image_id(1) in result.err


def test_details_name_the_credential_that_signed(site: Site):
    site.expect(0, "endorser", "-C", "-e", "alice", "--dn", "/CN=another", "-I", "/CN=other ca")
    site.join(site.image(1))
    details = site.expect(0, "image", "-i", "-u", image_id(1), "-f", "json").json
    assert details["EndorserPrincible"] == {"issuer": site.alice.issuer, "subject": site.alice.subject}
    assert details["Endorser"] == {"identifier": "alice"}
    lines = _details(site, 1)
    assert [line for line in lines if line.startswith("endorser:")] == [
        "endorser:hv:subject=/CN=another",
        "endorser:hv:issuer=/CN=other ca",
        f"endorser:hv:subject={site.alice.subject}",
        f"endorser:hv:issuer={site.alice.issuer}",
    ]


def test_unknown_fields_of_an_image_are_kept_and_shown(site: Site):
    site.join(site.image(1, ad__group="General group", my__own={"deep": [1, None, "x"]}))
    fields = site.expect(0, "image", "-i", "-u", image_id(1), "-f", "json").json["ImageInstance"]["fields"]
    assert fields["ad:group"] == "General group"
    assert fields["my:own"] == {"deep": [1, None, "x"]}


def test_details_without_a_linked_endorser_say_that_an_update_is_needed(site: Site):
    site.join(site.image(1))
    site.expect(0, "endorser", "-u", "-e", "alice", "-s", LIST_ID)
    for form in ("lines", "json", "message", "SMIME"):
        result = site.expect(0, "image", "-i", "-u", image_id(1), "-f", form)
        assert result.err == f"WARNING:vmcatcher.cli.classic.image:Subscription '{LIST_ID}' needs an update.\n"
        assert (result.out == "") is (form in ("message", "SMIME"))


def test_values_of_a_list_cannot_forge_lines_columns_or_terminal_commands(site: Site):
    forged = "x\nimage.sl:checksum:sha512=" + "0" * 128 + "\r\n\tA\x1b[2J\u202e\u2028\x85\x00".replace("\x00", "")
    site.publish("1", site.image(1, dc__title=forged, dc__description=forged), dc__description=forged, dc__title=forged)
    site.join()
    plain = site.image(2)
    _publish_other(site, plain)
    for number, command in ((1, ("image", "-i", "-u", image_id(1))), (1, ("subscribe", "-i", "-u", LIST_ID))):
        lines = site.expect(0, *command).out
        assert lines.replace("\n", "").isprintable(), number
    forging, honest = _details(site, 1), _details(site, 2)
    assert [line.partition("=")[0] for line in forging] == [line.partition("=")[0] for line in honest]
    title = next(line for line in forging if line.startswith("image.dc:title="))
    assert title.startswith(r"image.dc:title=x\nimage.sl:checksum:sha512=000")
    assert r"\r\n\tA\x1b[2J\u202e\u2028\x85" in title
    document = site.expect(0, "image", "-i", "-u", image_id(1), "-f", "json").json
    assert document["ImageInstance"]["title"] == forged


def _call(site: Site, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    program = str(Path(sys.executable).parent / "vmcatcher_image")
    # Nothing of this process's locale: what cron gives.
    return subprocess.run(
        [program, *words],
        env={"PATH": os.environ["PATH"], "HOME": str(site.root), **site.environment, **environment},
        capture_output=True,
        check=False,
        timeout=50,
    )


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C", "PYTHONIOENCODING": "latin-1"},
        {},
    ],
    ids=["C", "POSIX, no UTF-8 mode", "latin-1", "unset"],
)
def test_titles_in_any_language_are_shown_in_any_locale(site: Site, environment: dict[str, str]):
    title = "Größe – 雲 🖥 и so"
    site.join(site.image(1, dc__title=title))
    shown = _call(site, "-i", "-u", image_id(1), **environment)
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert f"image.dc:title={title}\n".encode() in shown.stdout
    document = _call(site, "-i", "-u", image_id(1), "-f", "json", **environment)
    assert shown.stdout.isascii() is False
    assert document.stdout.isascii()
    assert json.loads(document.stdout)["ImageInstance"]["title"] == title


def test_query_loads_nothing_that_it_does_not_need(site: Site):
    """With images, an index and a settings file to read: pipelines call this in a loop."""
    site.join(site.image(1), site.image(2))
    program = "import sys\nfrom vmcatcher.cli.classic.image import main\nmain(sys.argv[1:])\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, "-l"],
        env={**os.environ, **site.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    *listed, modules = done.stdout.splitlines()
    assert listed == [f"{image_id(number)}\t2\t{LIST_ID}" for number in (1, 2)]
    heavy = {"cryptography", "requests", "urllib3", "typer", "pydantic", "filelock", "ssl", "asyncio", "http", "email"}
    assert {name.partition(".")[0] for name in modules.split()} & heavy == set()
    assert "vmcatcher.trust.verify" not in modules.split()
