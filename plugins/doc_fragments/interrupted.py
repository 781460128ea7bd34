# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the option by which what a killed run left behind is ended."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  interrupted:
    description:
      - How to reach the database as a role that may open and drop databases. With it the module first ends what a run
        that was killed has left. It drops Slipway's own copies of the database, removes a throw-away server, and opens
        the database where a swap left it closed. A warning tells each, and the task is changed; in check mode it only
        says what it would do.
      - Nothing is touched while a run works, and where that can't be told. What can't be done is left to the next run.
    type: dict
    suboptions:
      login_host: {description: Address., type: str, default: ""}
      login_port: {description: Port., type: int, default: 5432}
      login_unix_socket: {description: Directory of the socket; it goes before the address., type: path, default: ""}
      login_user: {description: Role., type: str, required: true}
      login_password: {description: Its password., type: str, default: ""}
      login_db: {description: The application's database., type: str, required: true}
      ssl_mode:
        description: As libpq's sslmode.
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
        default: prefer
      ca_cert: {description: File of the certificate authority., type: path}
      connect_timeout: {description: Seconds., type: int, default: 10}
      maintenance_db: {description: Another database of the server., type: str, default: postgres}
      directory:
        description: State directory, with the lock of the runs.
        type: path
        required: true
      backup_directory: {description: Directory of backups, in which a throw-away server may be., type: path}
"""
