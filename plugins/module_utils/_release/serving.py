# SPDX-License-Identifier: GPL-3.0-or-later
"""The release that serves on this host, with all that it was started with."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read
from ansible_collections.slipway.deploy.plugins.module_utils._release.one_off import Container
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process, Spec
from ansible_collections.slipway.deploy.plugins.module_utils._release.service import Service, alive, as_started


def container_of(label: str, config: str = "") -> Container | None:
    """The container that runs and that the file ``config`` leads requests to, else the newest one that runs."""
    listed = ("ps", f"--filter=label=slipway.backend={label}", "--filter=status=running", "--format={{.Names}}")
    found = docker.must(*listed).split()
    if not found:
        return None
    led_to = read(config) if config else ""
    name = next((name for name in found if name in led_to), found[0])
    return Container.parse(docker.must("container", "inspect", "--format={{json .}}", name))


def process_of(directory: str) -> tuple[Process, Spec] | None:
    """The process that the state in ``directory`` says serves, and what it was started as."""
    process = Service(directory).state.app
    if process is None or not alive(process):
        return None
    return process, as_started(process)
