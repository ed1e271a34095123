"""`vmcatcher store check` in this process, on the store of a site and with its clock."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from unittest import mock

from support.site import Result, Site


def check(site: Site, *options: str, **environment: str) -> Result:
    """Run the command and return what it did."""
    from vmcatcher import wiring
    from vmcatcher.cli import app

    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    code: object = 0
    with (
        mock.patch.dict(os.environ, {**site.environment, **environment}),
        mock.patch.object(wiring, "clock", return_value=site.now),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            app.main(["store", "check", *options])
        except SystemExit as end:
            code = end.code
    root.handlers[:], root.level = before
    out.seek(0)
    assert isinstance(code, int)
    return Result(code, out.read(), err.getvalue())
