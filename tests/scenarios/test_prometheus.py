"""The metrics file: what docs/reference/metrics.md says of it, in the text format, for the collector to read."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from support.site import LIST_ID, Site, image_id
from vmcatcher.services.prometheus import METRICS

_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
# https://prometheus.io/docs/instrumenting/exposition_formats/: a label value escapes backslash, quote and line feed.
_SAMPLE = re.compile(r'(?P<name>[a-z_]+)(\{(?P<labels>([a-z]+="([^"\\\n]|\\\\|\\"|\\n)*",?)*)\})? (?P<value>-?[0-9.]+)')


def _written(site: Site, *arguments: str, code: int) -> dict[str, float]:
    """Return the samples of the file that `status` writes, by name and labels; each family announced once."""
    path = site.root / "metrics" / "vmcatcher.prom"
    path.parent.mkdir(exist_ok=True)
    result = site.run("vmcatcher", "status", "-q", "--prometheus", str(path), *arguments)
    assert (result.code, result.out) == (code, ""), result
    samples: dict[str, float] = {}
    family = ""
    announced: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            _, what, name, rest = line.split(" ", 3)
            assert rest
            if what == "HELP":
                family = name
                announced.append(name)
            else:
                assert (what, name, rest) == ("TYPE", family, "gauge")
            continue
        match = _SAMPLE.fullmatch(line)
        assert match, line
        assert match["name"] == family
        sample = line.rpartition(" ")[0]
        assert sample not in samples
        samples[sample] = float(match["value"])
    assert announced == [metric.name for metric in METRICS]
    return samples


def test_metrics_say_what_status_found(site: Site):
    site.publish("1", site.image(1), site.image(2), dc__title='A "title" \\ with\nall of it – ☃')
    site.join()
    site.select(1, 2)
    site.server.withdraw("/images/2-v1.raw")
    assert site.run("vmcatcher", "sync").code == 75
    found = _written(site, "--warn-within", "1d", code=75)
    assert found[f'vmcatcher_list_images{{list="{LIST_ID}",which="present"}}'] == 1
    assert found[f'vmcatcher_list_images{{list="{LIST_ID}",which="selected"}}'] == 2
    assert found['vmcatcher_images_by_state{state="failing"}'] == 1
    assert found['vmcatcher_troubles_by_severity{severity="passing"}'] == 1
    assert found[f'vmcatcher_trouble_found{{id="image-failing",severity="passing",subject="{image_id(2)}"}}'] == 1
    assert found["vmcatcher_status_timestamp_seconds"] == site.now.timestamp()
    assert found["vmcatcher_fetch_bytes"] == 1800
    [info] = [sample for sample in found if sample.startswith("vmcatcher_list_info")]
    title = r"A \"title\" \\ with\\nall of it – ☃"
    assert info == f'vmcatcher_list_info{{list="{LIST_ID}",title="{title}",version="1"}}'


def test_metrics_file_is_for_all_to_read_and_exchanged_whole(site: Site):
    site.join(site.image(1))
    before = os.umask(0o077)
    try:
        _written(site, "--warn-within", "1d", code=0)
        path = site.root / "metrics" / "vmcatcher.prom"
        first = path.stat().st_ino
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        _written(site, "--warn-within", "1d", code=0)
        assert path.stat().st_ino != first
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_metrics_into_a_directory_that_is_not_there_are_refused(site: Site):
    site.join(site.image(1))
    result = site.run("vmcatcher", "status", "--prometheus", str(site.root / "nowhere" / "vmcatcher.prom"))
    assert result.code == 1
    assert "[output-unwritable]" in result.err


def test_metrics_page_names_what_is_written():
    rows = re.findall(r"^\| `(vmcatcher_\w+)` \| ([^|]*) \| (.*) \|$", _PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {name: (tuple(re.findall(r"`(\w+)`", labels)), meaning) for name, labels, meaning in rows}
    assert documented == {metric.name: (metric.labels, metric.meaning) for metric in METRICS}
