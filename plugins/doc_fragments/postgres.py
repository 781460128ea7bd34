# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by every module that connects to PostgreSQL."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  login_host:
    description: Host name or address of the server. Ignored when O(login_unix_socket) is set.
    type: str
    default: ""
  login_port:
    description: TCP port of the server, or the number in the socket's name.
    type: int
    default: 5432
  login_unix_socket:
    description: Directory that holds the server's Unix socket.
    type: path
    default: ""
  login_user:
    description: Role to connect as.
    type: str
    required: true
  login_password:
    description: Password of O(login_user).
    type: str
    default: ""
  login_db:
    description: Database to connect to.
    type: str
    required: true
  ssl_mode:
    description: How the connection is encrypted and checked, as in libpq's C(sslmode).
    type: str
    default: prefer
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
  ca_cert:
    description: Path on the host of the certificate authority that signed the server's certificate.
    type: path
  connect_timeout:
    description: Seconds to wait for a connection.
    type: int
    default: 10
requirements:
  - psycopg2 on the host that runs the module
"""
