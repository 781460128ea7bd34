# SPDX-License-Identifier: GPL-3.0-or-later
"""The four hosts of a Molecule scenario: over SSH, by SQL in the database's container, and over HTTPS from outside."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from pathlib import Path

import testinfra
from testinfra.host import Host

BED = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "bed"
PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
SITE = "shop.example.com"
LABEL = "autotest-hosts-three"
ADDRESSES = {name: (BED / f"address-{name}").read_text().strip() for name in ("db", "web1", "web2", "front")}


def host(name: str) -> Host:
    options = f"-o UserKnownHostsFile={BED}/known_hosts -o StrictHostKeyChecking=yes"
    found: Host = testinfra.get_host(
        f"ssh://deploy@{ADDRESSES[name]}?sudo=true", ssh_identity_file=str(BED / "deploy"), ssh_extra_args=options
    )
    return found


def sql(statement: str) -> list[str]:
    """The rows that the superuser gets, each as psql prints it."""
    psql = f'PGPASSWORD=$(cat $POSTGRES_PASSWORD_FILE) psql -U postgres -d autotest -Atc "{statement}"'
    return host("db").check_output("docker exec %s-postgres sh -c %s", LABEL, psql).splitlines()


class Site(http.client.HTTPSConnection):
    """To the site by its name, at the host in front; with a ``root`` no other certificate is believed."""

    def __init__(self, root: str = "") -> None:
        context = ssl.create_default_context(cadata=root) if root else ssl._create_unverified_context()
        super().__init__(SITE, timeout=15, context=context)
        self.tls = context

    def connect(self) -> None:
        raw = socket.create_connection((ADDRESSES["front"], 443), timeout=15)
        self.sock = self.tls.wrap_socket(raw, server_hostname=SITE)
