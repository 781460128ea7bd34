# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's own programs (pg_dump, pg_restore), on the host or in the server's container, behind one face."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote

CLIENT_SPEC: dict[str, dict[str, Any]] = {
    "bindir": {"type": "path"},
    "container": {"type": "str"},
    "container_socket_dir": {"type": "str", "default": "/var/run/postgresql"},
    "space_factor": {"type": "float", "default": 1.2},
}

# Where the packages of Debian and of Red Hat put the programs of one major version.
PACKAGED = ("/usr/lib/postgresql/{major}/bin", "/usr/pgsql-{major}/bin")

SERVER_PROGRAMS = ("initdb", "postgres")  # of another package than the others

SIGNALS = {number.value: number.name for number in signal.Signals}
# What to do, by what a program said.
_ADVICE = {
    "No space left on device": "free some space there and run again",
    "Read-only file system": "mount it writable and run again",
    "snapshot": "the server ended this run's session: see in its log why, and run again",
    "server closed the connection": "see in the server's log why it ended, and run again when it answers",
    "terminating connection": "see in the server's log why it was ended, and run again when it answers",
    "connection to server": "see that the server runs, and run again",
}

KEY = re.compile(rb"^\\(?:un)?restrict \w+\n", re.MULTILINE)
KEY_WITHIN = 1000  # bytes of either end of the script

MOST_JOBS = 4  # sessions of one restore


@dataclass(frozen=True)
class Failure:
    """An entry of an archive that could not be restored, as pg_restore names it, why, and by which command."""

    entry: str
    why: str
    command: str


class ProgramError(SlipwayError):
    """A program ended with an error; ``failures`` are the entries of an archive that pg_restore stumbled over."""

    def __init__(self, program: str, code: int, stderr: str) -> None:
        super().__init__(failure(program, code, stderr))
        self.failures = unrestored(stderr)


@dataclass(frozen=True)
class Client:
    """How to run the programs: in a container, from a directory, or from where the packages put them."""

    server: Server
    major: int
    bindir: str = ""
    container: str = ""
    container_socket_dir: str = "/var/run/postgresql"

    @classmethod
    def from_params(cls, params: Mapping[str, Any], server: Server, major: int) -> Client:
        """Take the choice out of a module's parameters (see ``CLIENT_SPEC``)."""
        return cls(server, major, params["bindir"] or "", params["container"] or "", params["container_socket_dir"])

    @property
    def settings(self) -> dict[str, str]:
        """The connection as libpq's environment variables, so that nothing of it is in an argument list."""
        found = {
            "PGHOST": self.container_socket_dir
            if self.container
            else self.server.socket_dir or self.server.host or "localhost",
            "PGPORT": str(self.server.port),
            "PGUSER": self.server.user,
            "PGPASSWORD": self.server.password,
            "PGCONNECT_TIMEOUT": str(self.server.connect_timeout),
            "PGAPPNAME": "slipway",
            # A restore is flushed as a whole by what follows it; single commits need not wait for the disk.
            "PGOPTIONS": "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c synchronous_commit=off",
        }
        if not self.container:
            found["PGSSLMODE"] = self.server.ssl_mode
            if self.server.ca_cert:
                found["PGSSLROOTCERT"] = self.server.ca_cert
        return found

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """What the programs are started with: no PG* variable of the caller's, and messages in English."""
        kept = {name: value for name, value in inherited.items() if not name.startswith("PG")}
        return {**kept, "LC_ALL": "C", **self.settings}

    def command(self, program: str, *arguments: str) -> list[str]:
        """The argument list. Values of the connection travel in the environment, also into a container."""
        if self.container:
            forwarded = [part for name in ["LC_ALL", *self.settings] for part in ("-e", name)]
            return ["docker", "exec", "-i", *forwarded, self.container, program, *arguments]
        return [self.find(program), *arguments]

    def find(self, program: str) -> str:
        """Where a program is on the host; SlipwayError when it is nowhere."""
        if self.bindir:
            places = self.bindir
        else:
            packaged = [place.format(major=self.major) for place in PACKAGED]
            places = os.pathsep.join([*packaged, os.environ.get("PATH", os.defpath)])
        found = shutil.which(program, path=places)
        if found is None:
            raise SlipwayError(
                f"The program {program} is not in {places}: install the package "
                f"{'postgresql' if program in SERVER_PROGRAMS else 'postgresql-client'}-{self.major}, "
                "or name the directory of the server's own programs as 'bindir' or its container as 'container'."
            )
        return found

    def run(
        self,
        program: str,
        *arguments: str,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
    ) -> str:
        """Run a program and return its output (empty when it goes to ``stdout``); SlipwayError when it fails."""
        try:
            ended = subprocess.run(
                self.command(program, *arguments),
                env=self.environment(os.environ),
                stdin=stdin or subprocess.DEVNULL,
                stdout=stdout or subprocess.PIPE,
                stderr=subprocess.PIPE,
                check=False,
            )
        except FileNotFoundError as error:
            raise SlipwayError(
                f"The program {error.filename!r} is not on the host, but the database is said to run in container "
                f"{self.container!r}: install Docker's client there, or leave 'container' out."
            ) from error
        if ended.returncode:
            raise ProgramError(program, ended.returncode, ended.stderr.decode(errors="replace"))
        return (ended.stdout or b"").decode(errors="replace")

    def check_version(self) -> None:
        """Raise SlipwayError unless both programs are of the server's major version.

        An older pg_dump refuses a newer server, and a newer pg_restore sends settings an older server does not know.
        """
        for program in ("pg_dump", "pg_restore"):
            answer = self.run(program, "--version").strip()
            found = re.search(r"\) (\d+)", answer)
            if found is None or int(found[1]) != self.major:
                raise SlipwayError(
                    f"The server is PostgreSQL {self.major}, but its client program says {answer!r}: install the "
                    f"package postgresql-client-{self.major}, or name the directory of the server's own programs as "
                    "'bindir' or its container as 'container'."
                )

    def free_space(self, directory: str) -> int | None:
        """Bytes free where the server keeps its data; None when that can't be seen from here."""
        space = self.space(directory)
        return None if space is None else space[1]

    def space(self, directory: str) -> tuple[int, int] | None:
        """Bytes used, and free for ordinary users, on the file system of the server's data; None when not seen here."""
        if not directory:
            return None
        if self.container:
            try:
                used, free = self.run("df", "-Pk", directory).splitlines()[-1].split()[2:4]
            except ProgramError:  # it is the directory of a server on another host
                return None
            return int(used) * 1024, int(free) * 1024
        if (self.server.socket_dir or self.server.host in ("", "localhost", "127.0.0.1", "::1")) and os.path.isdir(
            directory
        ):
            usage = shutil.disk_usage(directory)
            return usage.used, usage.free
        return None

    def dump(self, snapshot: str, target: IO[bytes], *arguments: str) -> None:
        """Write the database as it is in ``snapshot`` to ``target``, a regular file, in pg_dump's custom format."""
        self.run(
            "pg_dump", "--format=custom", f"--snapshot={snapshot}", "--lock-wait-timeout=60s", *arguments,
            f"--dbname={conninfo(self.server.database)}", stdout=target,
        )  # fmt: skip

    def read_through(self, archive: str, stop: threading.Event | None = None) -> str:
        """Read the whole archive without restoring it: finds what was cut off and most of what was altered.

        Returns the SHA-256 of the SQL that it stands for, which is the same for two dumps of an unchanged database.
        It ends soon, with a SlipwayError, when ``stop`` is set.
        """
        reading, writing = os.pipe()
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(digest_of_script(reading, stop)))
        thread.start()
        try:
            with os.fdopen(writing, "wb") as sink:
                self._restore(archive, "--file=-", stdout=sink)
        finally:
            thread.join()
        return found[0]

    def dump_schema(self, database: str, schema: str, target: IO[bytes]) -> None:
        """Write one schema of a database as SQL, without owners and rights, and without what is about no schema."""
        self.run(
            "pg_dump", "--no-owner", "--no-privileges", "--no-publications", "--no-subscriptions", "--no-tablespaces",
            f"--schema={quote(schema)}", f"--dbname={conninfo(database)}", stdout=target,
        )  # fmt: skip

    def script(self, archive: str, target: IO[bytes]) -> None:
        """Write the SQL that an archive stands for, without owners and rights."""
        self._restore(archive, "--no-owner", "--no-privileges", "--no-subscriptions", "--file=-", stdout=target)

    def contents(self, archive: str) -> str:
        """What is in the archive, and what needs what, as pg_restore lists it."""
        return self._restore(archive, "--list", "--verbose")

    def restore(self, archive: str, database: str, *arguments: str, only: Sequence[int] = ()) -> None:
        """Restore the archive, owners and rights included, into an empty database; the first error ends it.

        ``only`` these entries are restored, in this order. Subscriptions stay out: a second one of the same name would
        take part in replication.
        """
        # An archive that comes through a pipe can be read only once, from its beginning to its end.
        parallel = () if self.container else (f"--jobs={min(os.cpu_count() or 1, MOST_JOBS)}",)
        self._restore_into(archive, database, only, "--exit-on-error", *parallel, *arguments)

    def restore_what_can_be(
        self, archive: str, database: str, *arguments: str, only: Sequence[int] = ()
    ) -> list[Failure]:
        """The same, but go on after an error; what failed."""
        try:
            self._restore_into(archive, database, only, "--verbose", *arguments)  # or it does not name the entry
        except ProgramError as error:
            if error.failures:
                return error.failures
            raise
        return []

    def _restore_into(self, archive: str, database: str, only: Sequence[int], *arguments: str) -> None:
        arguments = ("--no-subscriptions", *arguments, f"--dbname={conninfo(database)}")
        if not only:
            self._restore(archive, *arguments)
            return
        with tempfile.TemporaryFile() as chosen:
            chosen.write("".join(f"{number}\n" for number in only).encode())
            chosen.seek(0)
            if not self.container:
                self.run("pg_restore", *arguments, "--use-list=/dev/stdin", archive, stdin=chosen)
                return
            place = f"/dev/shm/slipway-{uuid.uuid4().hex}"
            self.run("sh", "-c", 'cat > "$0"', place, stdin=chosen)
            try:
                self._restore(archive, *arguments, f"--use-list={place}")
            finally:
                self.run("rm", "-f", place)

    def _restore(self, archive: str, *arguments: str, stdout: IO[bytes] | None = None) -> str:
        if not self.container:
            return self.run("pg_restore", *arguments, archive, stdout=stdout)
        with open(archive, "rb") as source:
            return self.run("pg_restore", *arguments, stdin=source, stdout=stdout)


def conninfo(database: str) -> str:
    """A database's name as libpq's connection string: a bare name with '=' in it would be taken for one."""
    return "dbname='" + database.replace("\\", "\\\\").replace("'", "\\'") + "'"


def digest_of_script(descriptor: int, stop: threading.Event | None = None) -> str:
    """SHA-256 of pg_restore's SQL that comes through a pipe, without the key for psql at both ends (another each time).

    Closes the descriptor at the end, or when ``stop`` is set, so that who writes to it ends too.
    """
    digest = hashlib.sha256()
    with os.fdopen(descriptor, "rb") as script:
        head = script.read(KEY_WITHIN)
        tail = KEY.sub(b"", head, count=1)
        for block in iter(lambda: script.read(1 << 20), b""):
            digest.update(tail[:-KEY_WITHIN])
            tail = tail[-KEY_WITHIN:] + block
            if stop and stop.is_set():
                break
        digest.update(KEY.sub(b"", tail))
    return digest.hexdigest()


def failure(program: str, status: int, stderr: str) -> str:
    """Why a program ended with ``status``, and what to do; a negative one is a signal, and 128 more in a container."""
    number = -status if status < 0 else status - 128
    if number in SIGNALS:
        return (
            f"{program} was ended by {SIGNALS[number]} before it had done its work, by somebody or by the kernel for "
            "lack of memory (see dmesg): run again."
        )
    said = reason(stderr)
    advice = next((text for words, text in _ADVICE.items() if words in said), "")
    return f"{program} failed (exit code {status}): {said}{advice and f'; {advice}.'}"


def reason(stderr: str) -> str:
    """What went wrong, in one line, without the context and detail lines: those quote rows of the database.

    What PostgreSQL advises (HINT) is a part of it.
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\b(error|fatal|panic)\b", line, re.IGNORECASE)]
    hints = [line for line in lines if re.match(r"(pg_\w+: )?hint:", line, re.IGNORECASE)]
    return "; ".join([*(errors or lines or ["it gave no reason"])[:3], *dict.fromkeys(hints)])


def unrestored(stderr: str) -> list[Failure]:
    """The archive's entries that pg_restore could not restore."""
    found: list[Failure] = []
    entry = ""
    for block in re.split(r"\n(?=pg_restore: )", stderr):
        named = re.match(r"pg_restore: from TOC entry \d+; \d+ \d+ (.*)", block)
        said = re.match(r"pg_restore: error: (?:could not execute query: )?(?:ERROR:  )?(.*)", block)
        if named:
            entry = named[1]
        elif said and entry:
            command = re.search(r"^Command was: (.*)", block, re.MULTILINE | re.DOTALL)
            found.append(Failure(entry, said[1], command[1].strip() if command else ""))
            entry = ""
    return found
