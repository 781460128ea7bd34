#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_exporter
author: The Slipway contributors
short_description: Debian's postgres_exporter as a service, with a role that reads statistics alone
description:
  - Makes a role that is a member of C(pg_monitor) and may connect to the database, and runs the exporter as that role,
    as a service of systemd on 127.0.0.1. Waits until the exporter reaches the database.
  - The password is in a file that only root reads and in the environment of the process. A service that runs with other
    settings, another password or another unit than these is restarted; one that does not run is started.
  - The service has a user of its own while it runs. A Unix socket below a directory that only root may enter is mounted
    for it.
  - C(absent) stops the service and takes it and the role away. Where the server does not answer, the role and
    O(directory) stay, which a later call takes away.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
attributes:
  check_mode:
    support: full
    details: Returns what would be done and does nothing.
  diff_mode:
    support: full
    details: Shows the statements and the unit.
  idempotent:
    support: full
options:
  state:
    description: Whether the exporter is to run.
    type: str
    choices: [started, absent]
    default: started
  service:
    description: Name of the service.
    type: str
    required: true
  directory:
    description: Directory for the service's files, of which the first is there as long as anything of the exporter is.
    type: path
    required: true
  role:
    description: Name of the role.
    type: str
    required: true
  role_password:
    description: Its password.
    type: str
  port:
    description: Port of 127.0.0.1 on which the metrics are served.
    type: int
    default: 9187
  timeout:
    description: Seconds to wait until the exporter reaches the database.
    type: int
    default: 20
requirements:
  - systemd 247 or newer, root, and Debian's package prometheus-postgres-exporter
"""

EXAMPLES = r"""
- name: Serve the statistics of a database to Prometheus
  slipway.deploy.postgres_exporter:
    login_unix_socket: /var/lib/slipway/shop/test/run
    login_user: postgres
    login_password: "{{ postgres_superuser_password }}"
    login_db: shop
    service: shop-test-postgres-exporter
    directory: /var/lib/slipway/shop/test/monitoring
    role: shop_monitor
    role_password: "{{ monitoring_password }}"
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one sentence each.
  type: list
  elements: str
  returned: success
exporter:
  description: The service and where it serves the metrics.
  type: dict
  returned: success
  contains:
    service: {description: Its name., type: str}
    url: {description: Where the metrics are; empty when it is absent., type: str}
"""

import shutil
import subprocess
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._access import monitor
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read, replace_file, wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring import exporter
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring.systemd import Service
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    connection,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import SqlAction
from ansible_collections.slipway.deploy.plugins.module_utils._release.service import claim
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist


def metrics(url: str) -> str:
    """What the exporter answers, past any proxy; nothing where there is no answer."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def options() -> frozenset[str]:
    """The options that the program on this host knows; none where it is still to be installed."""
    try:
        done = subprocess.run([exporter.PROGRAM, "--help"], capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError:
        return frozenset()
    return exporter.known_options(done.stdout + done.stderr)


def start(module: AnsibleModule, server: Server, service: Service) -> dict[str, Any]:
    """Make the role, write the files, and run the service, where it does not run so already."""
    params = module.params
    role = replace(server, user=params["role"], password=params["role_password"])
    doing = f"Making role {role.user!r} as role {server.user!r}, which must be allowed to grant pg_monitor,"
    with sql_errors(doing), connection(server) as opened, opened, opened.cursor() as cursor:
        statements = monitor.plan(cursor, server, role.user, role.password)
        wanted = exporter.Exporter(
            service.name, params["directory"], params["port"], role,
            opened.server_version, bool(opened.info.ssl_in_use), options(),
        )  # fmt: skip
        process = service.process()
        if process is None or wanted.listens not in process.arguments:
            claim(exporter.ADDRESS, wanted.port)  # before anything is changed
        for statement in [] if module.check_mode else statements:
            cursor.execute(statement.sql)
    directory = Path(params["directory"])
    texts = {
        directory / "environment": exporter.environment_file(wanted.environment),
        directory / "queries.yaml": wanted.queries,
        service.unit: wanted.unit,
    }
    files = {path: text for path, text in texts.items() if text}
    before = {path: read(str(path)) for path in files}
    actions = [f"Wrote {path}." for path, text in files.items() if before[path] != text]
    # The environment holds a digest of the unit, so that one process is all that has to be asked.
    runs = process is not None and wanted.environment.items() <= process.environment.items()
    if actions or not (runs and service.enabled):
        actions.append(f"{'Started' if process is None else 'Restarted'} service {service.name} on port {wanted.port}.")
    if actions and not module.check_mode:
        insist()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, text in files.items():
            replace_file(str(path), text, 0o600 if path.name == "environment" else 0o644)
        service.start()
    url = f"http://{exporter.ADDRESS}:{wanted.port}/metrics"
    if not module.check_mode and not wait_until(lambda: exporter.reaches_server(metrics(url)), params["timeout"]):
        raise SlipwayError(
            f"Service {service.name} does not reach database {server.database!r} ({service.log() or 'it wrote nothing'}"
            f"): see journalctl -u {service.name}."
        )
    actions = [*(statement.done for statement in statements), *actions]
    return {
        **told(actions, statements, before[service.unit], wanted.unit),
        "exporter": {"service": service.name, "url": url},
    }


def remove(module: AnsibleModule, server: Server, service: Service) -> dict[str, Any]:
    """Take away the service, then the role, then what says that there was one."""
    directory, actions, before = Path(module.params["directory"]), list[str](), read(str(service.unit))
    statements: list[SqlAction] = []
    if before:
        actions.append(f"Stopped and removed service {service.name}.")
        if not module.check_mode:
            insist()
            service.remove()
    if directory.exists():
        try:
            doing = f"Dropping role {module.params['role']!r}"
            with sql_errors(doing), connection(server) as opened, opened, opened.cursor() as cursor:
                statements = monitor.plan_removal(cursor, module.params["role"])
                for statement in [] if module.check_mode else statements:
                    cursor.execute(statement.sql)
            actions += [*(statement.done for statement in statements), f"Deleted {directory}."]
            if not module.check_mode:
                insist()
                shutil.rmtree(directory)
        except SlipwayError as error:
            statements = []
            module.warn(f"Role {module.params['role']} stays for now, and the next deploy drops it: {error}")
    return {**told(actions, statements, before, ""), "exporter": {"service": service.name, "url": ""}}


def told(actions: list[str], statements: list[SqlAction], before: str, after: str) -> dict[str, Any]:
    """What a result says of the change."""
    shown = "".join(f"{statement.shown}\n" for statement in statements)
    return {"changed": bool(actions), "actions": actions, "diff": {"before": before, "after": shown + after}}


def work(module: AnsibleModule) -> dict[str, Any]:
    act = start if module.params["state"] == "started" else remove
    return act(module, Server.from_params(module.params), Service(module.params["service"]))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_SPEC,
            "state": {"type": "str", "choices": ["started", "absent"], "default": "started"},
            "service": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "role": {"type": "str", "required": True},
            "role_password": {"type": "str", "no_log": True},
            "port": {"type": "int", "default": 9187},
            "timeout": {"type": "int", "default": 20},
        },
        required_if=[("state", "started", ["role_password"])],
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
