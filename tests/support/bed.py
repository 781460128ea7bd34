# SPDX-License-Identifier: GPL-3.0-or-later
"""The host of a Molecule scenario that is a container with sshd and systemd."""

from __future__ import annotations

import testinfra
from support.role import EPHEMERAL
from testinfra.host import Host


def host(name: str = "one") -> Host:
    """The host, over SSH, as root."""
    bed = EPHEMERAL / "bed"
    found: Host = testinfra.get_host(
        f"ssh://deploy@{(bed / f'address-{name}').read_text().strip()}?sudo=true",
        ssh_identity_file=str(bed / "deploy"),
        ssh_extra_args=f"-o UserKnownHostsFile={bed}/known_hosts -o StrictHostKeyChecking=yes",
    )
    return found
