# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of a Molecule scenario, containers with sshd and systemd: over SSH as root, and over HTTPS from outside."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
from pathlib import Path

import testinfra
from testinfra.host import Host

BED = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "bed"
PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
SITE = "shop.example.com"


def address(name: str) -> str:
    return (BED / f"address-{name}").read_text().strip()


def host(name: str) -> Host:
    found: Host = testinfra.get_host(
        f"ssh://deploy@{address(name)}?sudo=true",
        ssh_identity_file=str(BED / "deploy"),
        ssh_extra_args=f"-o UserKnownHostsFile={BED}/known_hosts -o StrictHostKeyChecking=yes",
    )
    return found


def root() -> str:
    """The certificate of pebble's authority, new with each start."""
    ask = "import ssl, urllib.request as r; c = ssl._create_unverified_context(); "
    ask += "print(r.urlopen('https://localhost:15000/roots/0', context=c).read().decode())"
    command = ["docker", "exec", "slipway-molecule-outside", "python3", "-c", ask]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


class Site(http.client.HTTPSConnection):
    """To the site by its name, at the address of the host ``at``; with a ``root`` no other certificate is believed."""

    def __init__(self, at: str, root: str = "") -> None:
        context = ssl.create_default_context(cadata=root) if root else ssl._create_unverified_context()
        super().__init__(SITE, timeout=15, context=context)
        self.at, self.tls = address(at), context

    def connect(self) -> None:
        raw = socket.create_connection((self.at, 443), timeout=15)
        self.sock = self.tls.wrap_socket(raw, server_hostname=SITE)
