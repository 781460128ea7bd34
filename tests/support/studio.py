# SPDX-License-Identifier: GPL-3.0-or-later
"""A studio that runs, as an operator starts it."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from support.environment import Environment


@dataclass
class Studio:
    """A studio that runs, and the address that it has printed."""

    process: subprocess.Popen[str]
    url: str

    @property
    def origin(self) -> str:
        return self.url.partition("/?")[0]


@contextlib.contextmanager
def running(environment: Environment, **variables: object) -> Iterator[Studio]:
    """Until it is interrupted, as by Ctrl-C."""
    process = environment.start("playbooks/studio.yml", **variables)
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "Ctrl-C" in line:
            break
    found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", said)
    assert found, said
    try:
        yield Studio(process, found[0])
    finally:
        process.send_signal(signal.SIGINT)
        assert "The studio has ended." in process.communicate(timeout=60)[0]
        assert process.returncode == 0
