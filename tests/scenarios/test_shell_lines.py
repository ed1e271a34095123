"""The shell lines and scripts that sites have around the commands, run as they are by /bin/sh."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.server import Server
from support.site import LIST_ID, Result, Site, image_id

# A handler as sites have them: paths pasted together from the variables, one branch for each type.
HANDLER = r"""#!/bin/sh
set -u
case "${VMCATCHER_EVENT_TYPE}" in
    AvailablePostfix)
        size=$(wc -c < "${VMCATCHER_CACHE_DIR_CACHE}/${VMCATCHER_EVENT_FILENAME}") || exit 1
        echo "add ${VMCATCHER_EVENT_DC_IDENTIFIER} ${VMCATCHER_EVENT_FILENAME} ${VMCATCHER_EVENT_DC_TITLE} $((size))" ;;
    ExpirePostfix)
        test -f "${VMCATCHER_CACHE_DIR_EXPIRE}/${VMCATCHER_EVENT_FILENAME}" || exit 1
        test -e "${VMCATCHER_CACHE_DIR_CACHE}/${VMCATCHER_EVENT_DC_IDENTIFIER}" && exit 1
        echo "remove ${VMCATCHER_EVENT_DC_IDENTIFIER}" ;;
    AvailablePrefix | ExpirePrefix | ProcessPrefix | ProcessPostfix | SubscriptionImageNew) ;;
    *) exit 2 ;;
esac >> "$SPOOL"
"""


class Shell:
    """A site as a cron user has it: the commands on the path, the places in variables, three cache directories."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.spool = site.root / "spool"
        self.cache = site.root / "vmimages"
        for path in (self.cache / "endorsed", self.cache / "partial", self.cache / "expired"):
            path.mkdir(parents=True)
        self.handler = site.root / "handler.sh"
        self.handler.write_text(HANDLER)
        self.handler.chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            **site.environment,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "VMCATCHER_CACHE_DIR_CACHE": str(self.cache / "endorsed"),
            "VMCATCHER_CACHE_DIR_DOWNLOAD": str(self.cache / "partial"),
            "VMCATCHER_CACHE_DIR_EXPIRE": str(self.cache / "expired"),
            "SPOOL": str(self.spool),
            "URL": site.server.url("/list"),
            "LIST": LIST_ID,
            "PYTHON": sys.executable,
        }

    def run(self, script: str, **environment: str) -> Result:
        """Run a script by /bin/sh, in the directory of the site."""
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            env={**self.environment, **environment},
            cwd=self.site.root,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=50,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode(), done.stdout)

    def expect(self, out: str, script: str, **environment: str) -> None:
        """Run a script and demand its output, silence on stderr and 0."""
        assert self.run(script, **environment) == Result(0, out, "", out.encode())

    def told(self) -> list[str]:
        """Return what the handler wrote, and forget it."""
        lines = self.spool.read_text().splitlines() if self.spool.exists() else []
        self.spool.unlink(missing_ok=True)
        return lines


@pytest.fixture
def shell(site: Site) -> Shell:
    return Shell(site)


@pytest.fixture
def filled(shell: Shell) -> Shell:
    """With a list of three images, none of them selected."""
    site = shell.site
    site.join(site.image(1), site.image(2, dc__title="Tïtle of 2"), site.image(3, hv__format="QCOW2"))
    return shell


def ids(*numbers: int) -> str:
    return "".join(f"{image_id(number)}\n" for number in numbers)


def test_available_images_are_found_and_added_in_a_loop(filled: Shell):
    filled.expect(ids(1, 2, 3), "vmcatcher_image -l | awk '{ if ($2==2) {print $1}}'")
    filled.expect(
        "",
        """
        for i in $(vmcatcher_image -l | awk '{ if ($2==2) {print $1}}') ; do
            vmcatcher_image -a -u $i
        done
        """,
    )
    filled.expect(ids(1, 2, 3), "vmcatcher_image -l | awk '$2==3{print $1}'")


@pytest.mark.slow
def test_columns_are_cut_at_tabs_and_read_by_the_shell(filled: Shell):
    filled.site.select(2)
    filled.expect(
        f"{image_id(1)}:2:{LIST_ID}\n{image_id(2)}:3:{LIST_ID}\n{image_id(3)}:2:{LIST_ID}\n",
        'vmcatcher_image -l | while read -r image state list; do echo "$image:$state:$list"; done',
    )
    filled.expect(ids(1, 2, 3), "vmcatcher_image --list | cut -f1")
    filled.expect("2\n3\n2\n", "vmcatcher_image --list | cut -f 2")
    filled.expect(f"{LIST_ID}\n", "vmcatcher_subscribe -l | cut -f1")
    filled.expect(filled.environment["URL"] + "\n", "vmcatcher_subscribe -l | cut -f4")
    filled.expect(f"{filled.site.alice.subject}\n", 'vmcatcher_endorser -l | cut -f2 | tr -d "\'"')
    filled.expect("2\n", f"vmcatcher_image -l | grep -c '\t2\t'; vmcatcher_image -l | grep -q '^{image_id(2)}\t3'")


@pytest.mark.slow
def test_lines_of_one_cloud_manager_run_as_they_are(shell: Shell):
    site = shell.site
    site.publish("1", site.image(1), site.image(2))
    result = shell.run(
        'vmcatcher_subscribe --imagelist-newimage-subscribe --auto-endorse -s "$URL"; '
        "vmcatcher_subscribe -U; vmcatcher_cache"
    )
    assert (result.code, result.out) == (0, "")
    assert [line.partition(":")[0] for line in result.err.splitlines()] == ["WARNING"]
    assert sorted(path.name for path in (shell.cache / "endorsed").iterdir()) == [
        image_id(1),
        image_id(2),
        "cache.index",
    ]
    site.publish("2", site.image(1, "2"), site.image(2), site.image(3))
    shell.expect("", "vmcatcher_subscribe -U; vmcatcher_cache -x ./handler.sh")
    v2 = len(b"image 1 version 2\n" * 100)
    assert sorted(shell.told()) == [
        f"add {image_id(1)} {image_id(1)} Title of image 1 {v2}",
        f"add {image_id(3)} {image_id(3)} Title of image 3 {v2}",
        f"remove {image_id(1)}",
    ]


@pytest.mark.slow
def test_handler_that_pastes_its_paths_finds_every_file(filled: Shell):
    site = filled.site
    site.select(1, 2)
    filled.expect("", "vmcatcher_cache -x ./handler.sh")
    size = len(b"image 1 version 1\n" * 100)
    assert sorted(filled.told()) == [
        f"add {image_id(1)} {image_id(1)} Title of image 1 {size}",
        f"add {image_id(2)} {image_id(2)} Tïtle of 2 {size}",
    ]
    filled.expect(
        "",
        "vmcatcher_image -r -u $(vmcatcher_image -l | awk '$2==3{print $1}' | head -n 1) && vmcatcher_cache",
        VMCATCHER_CACHE_EVENT=f"sh {filled.handler}",
    )
    assert filled.told() == [f"remove {image_id(1)}"]


@pytest.mark.slow
def test_handler_that_pastes_without_a_slash_relies_on_the_one_that_was_typed(filled: Shell):
    filled.site.select(1)
    places = {
        f"VMCATCHER_CACHE_DIR_{name}": f"{filled.cache}/{path}/"
        for name, path in (("CACHE", "endorsed"), ("DOWNLOAD", "partial"), ("EXPIRE", "expired"))
    }
    pasted = 'test "$VMCATCHER_EVENT_TYPE" != AvailablePostfix || cp "${VMCATCHER_CACHE_DIR_CACHE}${IMAGE}" copy'
    filled.expect("", 'vmcatcher_cache -x "$HANDLER"', HANDLER=pasted, IMAGE=image_id(1), **places)
    assert (filled.site.root / "copy").read_bytes() == b"image 1 version 1\n" * 100


@pytest.mark.slow
def test_handler_that_asks_what_is_cached_gets_an_answer(filled: Shell):
    site = filled.site
    site.select(1, 2)
    filled.expect("", "vmcatcher_cache")
    site.publish("2", site.image(1, "2"), site.image(3))
    filled.expect("", "vmcatcher_subscribe -U")
    # As the OpenNebula handler tells an image that was replaced from one that was withdrawn.
    asking = (
        'test "$VMCATCHER_EVENT_TYPE" = ExpirePostfix || exit 0; '
        'if vmcatcher_image -l | grep "$VMCATCHER_EVENT_DC_IDENTIFIER" | cut -f2 | grep -q 3; '
        'then echo "replaced $VMCATCHER_EVENT_DC_IDENTIFIER"; else echo "withdrawn $VMCATCHER_EVENT_DC_IDENTIFIER"; fi'
        ' >> "$SPOOL"'
    )
    filled.expect("", 'vmcatcher_cache -x "$HANDLER"', HANDLER=asking)
    assert sorted(filled.told()) == [f"replaced {image_id(1)}", f"withdrawn {image_id(2)}"]


@pytest.mark.slow
def test_index_of_the_cache_is_read_by_scripts(filled: Shell):
    filled.site.select(1, 2)
    filled.expect("", "vmcatcher_cache")
    script = (
        "import json, sys\n"
        "index = json.load(open(sys.argv[1]))\n"
        "for key in sorted(index): print(key, index[key]['dc:title'], index[key]['hv:version'], index[key]['size'])"
    )
    size = len(b"image 1 version 1\n" * 100)
    expected = f"{image_id(1)} Title of image 1 1 {size}\n{image_id(2)} Tïtle of 2 1 {size}\n"
    filled.expect(expected, '"$PYTHON" -X utf8 -c "$SCRIPT" "$VMCATCHER_CACHE_DIR_CACHE/cache.index"', SCRIPT=script)
    if shutil.which("jq"):
        query = r'to_entries[] | "\(.key) \(.value["dc:title"]) \(.value["hv:version"]) \(.value.size)"'
        filled.expect(expected, 'jq -r "$QUERY" "$VMCATCHER_CACHE_DIR_CACHE/cache.index"', QUERY=query)


@pytest.mark.slow
def test_json_is_piped_into_programs(filled: Shell):
    show = "import json, sys; print(*(sorted(one) for one in json.load(sys.stdin)))"
    for command, keys in (
        ("vmcatcher_endorser --list --format=json", ["endorser", "princibles"]),
        ("vmcatcher_subscribe --list --format=json", ["authorised", "identifier", "uri"]),
        ("vmcatcher_endorser --links -f json", ["authorised", "endorser", "subscription"]),
    ):
        result = filled.run(f'{command} | "$PYTHON" -c "$SHOW"', SHOW=show)
        assert (result.code, result.err) == (0, "")
        assert set(keys) <= set(json.loads(result.out.strip().replace("'", '"')))


@pytest.mark.slow
def test_mail_is_sent_only_where_an_update_fails(filled: Shell):
    line = 'vmcatcher_subscribe -U 2>errors || { echo "update failed: $?"; cat errors; }'
    filled.expect("", line)
    filled.site.server.withdraw("/list")
    result = filled.run(line)
    assert result.out.startswith("update failed: 10\nERROR:")
    assert result.out.count("\n") == 2
    filled.expect("cached\n", "vmcatcher_cache && echo cached")


@pytest.mark.slow
def test_signed_list_and_its_content_are_written_to_files(filled: Shell):
    signed = filled.site.publish("2", filled.site.image(1))
    filled.expect("", "vmcatcher_subscribe -U")
    filled.expect(
        "", 'vmcatcher_subscribe -i -f message -u "$LIST" > list; vmcatcher_subscribe -i -f SMIME -u "$LIST" > signed'
    )
    root = filled.site.root
    assert json.loads((root / "list").read_bytes())["hv:imagelist"]["dc:identifier"] == LIST_ID
    assert (root / "signed").read_bytes() == signed
    filled.expect("", 'vmcatcher_image -i -f message -u "$IMAGE" -o again', IMAGE=image_id(1))
    assert (root / "again").read_bytes() == (root / "list").read_bytes()


@pytest.mark.slow
def test_details_are_grepped_for_a_field(filled: Shell):
    filled.expect(
        "Title of image 1\n", 'vmcatcher_image -i -u "$IMAGE" | sed -n "s/^image.dc:title=//p"', IMAGE=image_id(1)
    )
    filled.expect("1\n", "vmcatcher_subscribe -i -u $LIST | grep -c '^imagelist.dc:date:expires='")


# -- stdout that nobody reads, that is closed, that is full

QUERIES = (
    "vmcatcher_image -l",
    'vmcatcher_image -i -u "$IMAGE"',
    "vmcatcher_image -l -f json",
    'vmcatcher_image -i -f SMIME -u "$IMAGE"',
    "vmcatcher_subscribe -l",
    'vmcatcher_subscribe -i -f message -u "$LIST"',
    "vmcatcher_endorser -l",
    "vmcatcher_endorser -K",
    "vmcatcher store check --json",
    "vmcatcher_image --version",
    "vmcatcher_cache --help",
)
FEW = QUERIES[-1:]
MANY = pytest.param(QUERIES[:-1], marks=pytest.mark.slow)


@pytest.fixture
def crowded(site: Site) -> Shell:
    """With a list whose answers are longer than what a pipe takes."""
    shell = Shell(site)
    site.join(*(site.image(number, sl__comments="x" * 4000) for number in range(1, 41)))
    shell.environment["IMAGE"] = image_id(1)
    return shell


def test_reader_that_has_seen_enough_causes_no_complaint(crowded: Shell):
    crowded.expect(f"{image_id(1)}\t2\t{LIST_ID}\n", "vmcatcher_image -l | head -n 1")
    # Long enough that the command is still writing when its reader leaves.
    result = crowded.run('{ vmcatcher_image -i -f message -u "$IMAGE"; echo $? >&2; } | head -c 10 > beginning')
    assert result.err == "0\n"


@pytest.mark.parametrize("queries", [FEW, MANY], ids=["few", "many"])
def test_reader_that_reads_nothing_causes_no_complaint(crowded: Shell, queries: tuple[str, ...]):
    for query in queries:
        result = crowded.run(f"{{ {query}; echo $? >&2; }} | true")
        assert (result.code, result.out, result.err) == (0, "", "0\n"), query


@pytest.mark.parametrize("queries", [FEW, MANY], ids=["few", "many"])
def test_closed_stdout_is_no_trouble(crowded: Shell, queries: tuple[str, ...]):
    for query in queries:
        result = crowded.run(f"{query} >&-")
        assert (result.code, result.out, result.err) == (0, "", ""), query


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("queries", [FEW, MANY], ids=["few", "many"])
def test_full_stdout_is_one_line_and_a_failure(crowded: Shell, queries: tuple[str, ...]):
    for query in queries:
        result = crowded.run(f"{query} > /dev/full")
        assert result.code == 1, query
        assert result.err.count("\n") == 1, (query, result.err)
        assert "cannot write output file stdout: No space left on device" in result.err


@pytest.mark.slow
def test_closed_or_full_stderr_does_not_change_the_outcome(crowded: Shell):
    for line in (
        "vmcatcher_image -a -u nosuch",
        "vmcatcher_image -l --store nosuch",
        "vmcatcher_cache -C nosuch",
        "vmcatcher_image -x",
    ):
        told = crowded.run(line)
        assert told.err
        for closed in ("2>&-", "2> /dev/full"):
            result = crowded.run(f"{line} {closed}")
            assert (result.code, result.out, result.err) == (told.code, told.out, ""), (line, closed)


@pytest.mark.slow
def test_closed_stdin_is_no_trouble(crowded: Shell):
    site = crowded.site
    site.select(1)
    crowded.expect("", "vmcatcher_subscribe -U <&-; vmcatcher_cache <&-; vmcatcher_cache -x 'cat > /dev/null' <&-")
    assert (crowded.cache / "endorsed" / image_id(1)).exists()


@pytest.mark.slow
def test_all_streams_closed_is_how_some_daemons_start_it(crowded: Shell):
    crowded.site.select(1)
    crowded.expect("", "vmcatcher_cache -x 'cat > seen' <&- >&- 2>&-")
    assert (crowded.cache / "endorsed" / image_id(1)).exists()
    assert json.loads((crowded.site.root / "seen").read_text())["VMCATCHER_EVENT_TYPE"] == "ProcessPostfix"


@pytest.mark.slow
def test_c_locale_prints_titles_of_any_language(filled: Shell):
    for environment in ({"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        result = filled.run('vmcatcher_image -i -u "$IMAGE" | grep title', IMAGE=image_id(2), **environment)
        assert (result.code, result.out, result.err) == (0, "image.dc:title=Tïtle of 2\n", "")


@pytest.mark.slow
def test_options_may_be_bundled_shortened_and_glued(filled: Shell):
    digest = str(filled.site.image(1)["sl:checksum:sha512"])
    filled.expect(
        "", f"vmcatcher_image -as {digest} -q; vmcatcher_image --add --sha={digest}; vmcatcher_image -au{image_id(2)}"
    )
    filled.expect(ids(1, 2), "vmcatcher_image --li | awk '$2==3{print $1}'")
    filled.expect("", "vmcatcher_cache -qE; vmcatcher_cache --expire --downl -q")


@pytest.mark.slow
def test_many_lists_in_one_command_are_subscribed(shell: Shell, server: Server):
    site = shell.site
    lists = {f"22222222-aaaa-4aaa-8aaa-00000000000{number}": f"/l{number}" for number in range(3)}
    for number, (list_id, path) in enumerate(lists.items()):
        site.publish("1", site.image(10 + number), path=path, dc__identifier=list_id, hv__uri=site.server.url(path))
    urls = " ".join(f"-s {server.url(path)}" for path in lists.values())
    assert shell.run(f"vmcatcher_subscribe -e {urls}").code == 0
    shell.expect("".join(f"{one}\n" for one in lists), "vmcatcher_subscribe -l | cut -f1 | sort")
