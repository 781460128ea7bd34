# SPDX-License-Identifier: GPL-3.0-or-later
"""A command that runs once as the release that serves does: with its image, environment, network and limits.

It is prepared as a program in a file of the owner's alone, since the environment holds secrets. The program deletes
its file, and becomes the command, so that terminal, signals and exit status are the command's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._release.command import by_name, environment_file

LABEL = "slipway.run"
# What a file of variables can't hold goes by the client's own environment; the file itself is in memory only.
PROGRAM = """\
import json, os, sys

os.unlink(sys.argv[0])
it = json.loads({spec!r})
argv, environment = it["argv"], it["environment"]
if it["variables"] is not None:
    number = os.memfd_create("environment", 0)
    with open(number, "w", closefd=False, errors="surrogateescape") as file:
        file.write(it["variables"])
    os.set_inheritable(number, True)
    terminal = ["--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    argv = [*argv, *terminal, "--env-file=/proc/self/fd/%d" % number, *it["more"]]
    environment = {{**os.environ, **environment}}
elif "TERM" in os.environ:
    environment.setdefault("TERM", os.environ["TERM"])
try:
    os.chdir(it["directory"])
    os.execvpe(argv[0], argv, environment)
except OSError as error:
    sys.exit("%s can't be run: %s." % (argv[0], error.strerror))
"""


@dataclass(frozen=True)
class OneOff:
    """What the program becomes. ``variables`` is a file's content for a container's client, with ``more`` after it."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    directory: str = "/"
    variables: str | None = None
    more: Sequence[str] = ()

    def program(self) -> str:
        """Python that needs nothing but its standard library."""
        return PROGRAM.format(spec=json.dumps(asdict(self)))


@dataclass(frozen=True)
class Container:
    """The container of a release, as ``docker container inspect`` describes it."""

    name: str
    image: str
    release: str
    environment: Mapping[str, str]
    options: Sequence[str] = field(default_factory=tuple)
    log_options: Sequence[str] = field(default_factory=tuple)

    @classmethod
    def parse(cls, inspected: str) -> Container:
        """From the JSON of one container."""
        found: Mapping[str, Any] = json.loads(inspected)
        config, host = found["Config"], found["HostConfig"]
        pairs = (entry.partition("=") for entry in config.get("Env") or [])
        pids = host.get("PidsLimit") or 0
        options = [
            f"--network={host['NetworkMode']}",
            *([f"--stop-signal={config['StopSignal']}"] if config.get("StopSignal") else []),
            *([f"--memory={host['Memory']}"] if host.get("Memory") else []),
            *([f"--cpus={host['NanoCpus'] / 1e9:g}"] if host.get("NanoCpus") else []),
            *([f"--pids-limit={pids}"] if pids > 0 else []),
            *(f"--cap-drop={name}" for name in host.get("CapDrop") or []),
            *(f"--security-opt={option}" for option in host.get("SecurityOpt") or []),
            *(["--read-only"] if host.get("ReadonlyRootfs") else []),
            *(f"--tmpfs={path}{said and ':' + said}" for path, said in (host.get("Tmpfs") or {}).items()),
            *(f"--volume={volume}" for volume in host.get("Binds") or []),
        ]
        log = host.get("LogConfig") or {"Type": "json-file"}
        log_options = [
            f"--log-driver={log['Type']}",
            *(f"--log-opt={key}={value}" for key, value in (log.get("Config") or {}).items()),
        ]
        return cls(
            name=found["Name"].lstrip("/"),
            image=found["Image"],
            release=(config.get("Labels") or {}).get("slipway.release", ""),
            environment={name: value for name, _equals, value in pairs},
            options=options,
            log_options=log_options,
        )

    def one_off(self, argv: Sequence[str], label: str, number: str) -> OneOff:
        """``argv`` in a container of its own like this one, which goes when it has ended."""
        apart = by_name(self.environment)
        run = [
            *("docker", "run", "--rm", "--init", "--interactive", "--no-healthcheck", "--log-driver=none"),
            *(f"--name={label}-run-{number}", f"--label={LABEL}={label}", *self.options),
        ]
        more = [*(f"--env={name}" for name in sorted(apart)), self.image, *argv]
        return OneOff(run, apart, variables=environment_file(self.environment), more=more)
