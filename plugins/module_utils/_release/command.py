# SPDX-License-Identifier: GPL-3.0-or-later
"""The container in which a command runs once, with the image of a release, and how it gets its environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LABEL = "slipway.command"
# The engine's client reads a line of an environment file into a buffer of 64 KiB.
LONGEST_LINE = 60_000


@dataclass(frozen=True)
class Container:
    """A container that runs ``argv`` once and is removed when that ends. ``label`` is its name, and says whose it is.

    ``memory`` is in the engine's units (512M); ``pids`` is how many processes and threads it may have; ``volumes`` are
    mounts as in ``docker run --volume``. ``directory`` and ``user`` are the image's own where they are empty. With
    ``read_only`` nothing but those mounts and a ``/tmp`` in memory can be written to.
    """

    image: str
    network: str
    label: str
    memory: str
    pids: int
    volumes: Sequence[str] = ()
    directory: str = ""
    user: str = ""
    read_only: bool = True

    def command(self, argv: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        """Arguments for ``docker``, which reads ``environment_file`` from stdin, so that no argument has a value of it.

        A value that a line of the file can't hold is taken from the client's own environment.
        """
        return [
            "run",
            *("--rm", "--init", "--name", self.label, "--label", f"{LABEL}={self.label}", "--network", self.network),
            *("--memory", self.memory, "--pids-limit", str(self.pids)),
            *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--no-healthcheck"),
            *(["--read-only", "--tmpfs=/tmp"] if self.read_only else []),
            *(f"--volume={volume}" for volume in self.volumes),
            *([f"--workdir={self.directory}"] if self.directory else []),
            *([f"--user={self.user}"] if self.user else []),
            # What it writes comes here and is kept nowhere else.
            *("--log-driver", "none"),
            *("--env-file", "/dev/stdin"),
            *(f"--env={name}" for name in sorted(by_name(environment))),
            self.image,
            *argv,
        ]


def by_name(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that an environment file can't hold: of several lines, or very long."""
    return {
        name: value
        for name, value in environment.items()
        if "\n" in value or "\r" in value or len(value.encode()) > LONGEST_LINE
    }


def environment_file(environment: Mapping[str, str]) -> str:
    """All other variables, one a line, which the client takes as they are."""
    apart = by_name(environment)
    return "".join(f"{name}={value}\n" for name, value in sorted(environment.items()) if name not in apart)
