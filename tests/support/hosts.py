# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the scenarios hosts-*: playbooks on them; of those that are four also their database and their site."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from support.bed import PROJECT, Site, host

LABEL = "autotest-hosts-three"
STATE = "/var/lib/slipway/autotest/hosts-three"
ENTRY = f"/var/lib/slipway/entry/config/sites/{LABEL}.conf"
FRONT = partial(Site, "front")


def command(playbook: Path, *told: str) -> list[str]:
    """How a playbook is run on them."""
    inventory = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / "inventory" / "hosts.yml"
    return ["ansible-playbook", str(playbook), "-i", str(inventory), *told]


def surroundings(**more: str) -> dict[str, str]:
    """In which environment."""
    return {**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), **more}


def sql(statement: str) -> list[str]:
    """The rows that the superuser gets, each as psql prints it."""
    psql = f'PGPASSWORD=$(cat $POSTGRES_PASSWORD_FILE) psql -U postgres -d autotest -Atc "{statement}"'
    return host("db").check_output("docker exec %s-postgres sh -c %s", LABEL, psql).splitlines()
