"""docs/how-to/serve-a-mirror.md, run as a reader would, with the nginx of contrib between two stores."""

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path

import pytest

from docs.pages import DOCS, ROOT, Step, is_there, lies, publisher, replaced, run, steps, wait_for
from vmcatcher.settings import load_settings

_PAGE = (DOCS / "how-to" / "serve-a-mirror.md").read_text(encoding="utf-8")
_NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
_SITE = """export VMCATCHER_STORE=$PWD/{store} VMCATCHER_DIR_CERT=$PWD/certificates
vmcatcher_endorser -C -e alice --subject "/DC=org/DC=example/CN=Alice" --issuer "/DC=org/DC=example/CN=Tutorial CA"
vmcatcher_subscribe -s "$(sed -n 's/.*"hv:uri": "\\(.*image_list\\)".*/\\1/p' endorser/list.json)"
vmcatcher_subscribe -U
vmcatcher_image -a -u worker
"""
_AROUND = """{user}daemon off; pid nginx.pid; error_log stderr;
events {{}}
http {{ access_log off; client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d;
scgi_temp_path e; include {root}/vmcatcher-mirror.conf; }}
"""


def _files() -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.skipif(_NGINX is None, reason="nginx is not installed")
@pytest.mark.skipif(not is_there("openssl"), reason="needs openssl")
@pytest.mark.skipif(not is_there("curl"), reason="needs curl")
def test_second_site_fetches_from_the_mirror_as_told(tmp_path: Path, port: int) -> None:
    work = tmp_path / "work"
    with socket.create_server(("127.0.0.1", 0)) as server:
        mirror = f"127.0.0.1:{server.getsockname()[1]}"
    names = (("mirror.example.org", mirror), ("/var/lib/vmcatcher", f"{work}/first"))
    conf = replaced(
        (ROOT / "contrib" / "nginx" / "vmcatcher-mirror.conf").read_text(), ("listen 80;", f"listen {mirror};")
    )
    (tmp_path / "vmcatcher-mirror.conf").write_text(
        replaced(conf, ("server_name mirror.example.org;", "server_name localhost;"), names[1])
    )
    user = "user root; " if os.geteuid() == 0 else ""
    (tmp_path / "nginx.conf").write_text(_AROUND.format(user=user, root=tmp_path))
    (tmp_path / "vmcatcher.toml").write_text(_files()[0].replace(*names[0]))
    serve = f"{_NGINX} -p {tmp_path} -e stderr -c {tmp_path}/nginx.conf 2>{tmp_path}/error.log &\n"
    serving, fetching = (steps(part) for part in replaced(_PAGE, *names).split("## Fetch from a mirror"))
    second = f"{_SITE.format(store='second')}export VMCATCHER_CONFIG={tmp_path}/vmcatcher.toml\n"
    wanted = [
        *publisher(port),
        Step(_SITE.format(store="first") + "vmcatcher_cache", ""),
        Step(serve, None),
        wait_for(int(mirror.rpartition(":")[2])),
        *serving,
        Step(second, ""),
        *fetching,
    ]
    done = run(wanted, work)
    assert lies(done) == []
    assert len(list((work / "second" / "blobs" / "sha512").glob("*/*"))) == 1


def test_settings_of_the_page_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "vmcatcher.toml"
    found = []
    for text in _files():
        path.write_text(text)
        found.append(load_settings({}, environment={"VMCATCHER_CONFIG": str(path)}))
    assert [one.texts("mirrors")[-1] for one in found] == ["/nfs/vmcatcher/blobs"] * 2
    assert [one.flag("mirrors_only") for one in found] == [False, True]
