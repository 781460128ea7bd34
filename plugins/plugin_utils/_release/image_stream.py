# SPDX-License-Identifier: GPL-3.0-or-later
"""An image on its way from the engine of one host to that of another, through the controller and no file of it."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._release.image_archive import NOBODY_READS
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach.interleave import sent

PROGRAM = Path(__file__).parents[2] / "module_utils" / "_release" / "image_archive.py"
LOAD = ("docker", "load")


def stream(source: Sequence[str], target: Sequence[str], image: str, skip: int, timeout: float) -> None:
    """Have the engine behind ``target`` load the image that the one behind ``source`` has, but for ``skip`` layers.

    ``source`` is what the controller runs so that ``interleave.RECEIVE`` runs there; ``target`` is ``LOAD`` there.
    Raises SlipwayError with what either said when it fails, or when they take longer than ``timeout`` seconds.
    """
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as said_there,
        tempfile.TemporaryFile() as said_here,
    ):
        given.write(sent(PROGRAM, {"image": image, "skip": skip}))
        given.seek(0)
        # In sessions of their own: Ctrl-C is for Ansible, and ssh has no terminal to ask at.
        giving = subprocess.Popen(
            source, stdin=given, stdout=subprocess.PIPE, stderr=said_there, start_new_session=True
        )
        assert giving.stdout
        taking = subprocess.Popen(
            target, stdin=giving.stdout, stdout=said_here, stderr=subprocess.STDOUT, start_new_session=True
        )
        giving.stdout.close()  # the other's alone, who is told by its end
        ends = time.monotonic() + timeout
        try:
            for process in (giving, taking):
                process.wait(max(0, ends - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise SlipwayError(
                f"{image} has not come from one host to the other within {timeout:g} s: look at the network between "
                "them and this machine."
            ) from error
        finally:
            for process in (giving, taking):
                process.kill()
                process.wait()
        for process, said in ((giving, said_there), (taking, said_here)):
            if process.returncode not in (0, NOBODY_READS):
                said.seek(0)
                words = " ".join(said.read().decode(errors="replace").split()) or f"exit status {process.returncode}"
                raise SlipwayError(words)
