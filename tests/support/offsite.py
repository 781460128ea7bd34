# SPDX-License-Identifier: GPL-3.0-or-later
"""Places for repositories of restic, each by its own protocol: a directory, an SFTP server, an S3 server."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.debian import extracted
from support.environment import free_port
from support.missing import missing

PASSWORD = "the repository's"
KEY, SECRET = "slipway-test-key", "the-secret-of-the-key"


@dataclass
class Place:
    """Where a repository is, what reaches it, and the directory in which its files lie."""

    repository: str
    files: Path
    env: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        """As the modules take them."""
        return {
            "offsite": self.repository, "offsite_password": PASSWORD, "offsite_env": self.env,
            "offsite_options": self.options,
        }  # fmt: skip

    def restic(self, *arguments: str, password: str = PASSWORD) -> str:
        """What restic itself says of it, past Slipway."""
        options = [word for name, value in self.options.items() for word in ("-o", f"{name}={value}")]
        done = subprocess.run(
            ["restic", "--no-cache", *options, *arguments],
            env={**os.environ, **self.env, "RESTIC_REPOSITORY": self.repository, "RESTIC_PASSWORD": password},
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return done.stdout


def path_with_restic(directory: Path) -> str:
    """The path of programs, with the one of Debian's package where it is not installed."""
    if shutil.which("restic"):
        return os.environ["PATH"]
    extracted(directory, "restic")
    return f"{directory}/usr/bin:{os.environ['PATH']}"


@contextlib.contextmanager
def listening(command: list[str], port: int, **more: Any) -> Iterator[None]:
    """A server for a ``with`` block, in which it listens on the port."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more) as server:
        try:
            ends = time.monotonic() + 20
            while not answers(port):
                assert server.poll() is None, server.stderr and server.stderr.read()
                assert time.monotonic() < ends, f"{command[0]} does not listen"
                time.sleep(0.05)
            yield
        finally:
            server.terminate()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def directory(here: Path) -> Iterator[Place]:
    yield Place(str(here / "away"), here / "away")


@contextlib.contextmanager
def sftp(here: Path) -> Iterator[Place]:
    """A real sshd with keys of its own, which lets this user in by one of them."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if not sshd:
        missing("There is no sshd: install openssh-server.")
    port, user = free_port(), pwd.getpwuid(os.geteuid()).pw_name
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(here / name)], check=True)
    shutil.copy(here / "user.pub", here / "authorized_keys")
    (here / "known_hosts").write_text(f"[127.0.0.1]:{port} {(here / 'host.pub').read_text()}")
    (here / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {here}/host\nAuthorizedKeysFile {here}/authorized_keys\n"
        f"PidFile none\nPasswordAuthentication no\nPermitRootLogin yes\nStrictModes no\nUsePAM no\n"
        "Subsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    ssh = (
        f"ssh -p {port} -i {here}/user -o UserKnownHostsFile={here}/known_hosts -o BatchMode=yes "
        f"-o IdentitiesOnly=yes {user}@127.0.0.1 -s sftp"
    )
    with listening([sshd, "-D", "-e", "-f", str(here / "sshd_config")], port):
        yield Place(f"sftp:{user}@127.0.0.1:{here}/away", here / "away", options={"sftp.command": ssh})


@contextlib.contextmanager
def s3(here: Path) -> Iterator[Place]:
    """The S3 server that rclone is, which checks signatures and keeps a bucket as a directory."""
    program = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    if not program or "--auth-key" not in said(program, "serve", "s3", "--help"):
        missing("There is no rclone 1.65 or newer: `make test` installs it from requirements-dev.txt.")
    port = free_port()
    bucket = here / "buckets" / "backups"
    bucket.mkdir(parents=True)
    command = [
        program,
        "serve",
        "s3",
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        f"{KEY},{SECRET}",
        str(bucket.parent),
    ]
    with listening(command, port, env={**os.environ, "RCLONE_CONFIG": str(here / "rclone.conf")}):
        credentials = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        yield Place(f"s3:http://127.0.0.1:{port}/backups", bucket, credentials)


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
