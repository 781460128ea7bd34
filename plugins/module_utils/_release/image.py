# SPDX-License-Identifier: GPL-3.0-or-later
"""Images named by the digest of what they are built from: commands as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TAG_LENGTH = 12
LABEL = "slipway.image"
DIGEST_LABEL = "slipway.digest"


@dataclass(frozen=True)
class Build:
    """One image to build: ``name`` without a tag, ``digest`` of its inputs (SHA-256 in hex)."""

    name: str
    digest: str
    dockerfile: str = "Dockerfile"
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    pull: bool = False

    @property
    def ref(self) -> str:
        """The image's name with its tag, the digest's first twelve digits."""
        return f"{self.name}:{self.digest[:TAG_LENGTH]}"

    def command(self) -> list[str]:
        """Arguments for ``docker``, which reads the context from stdin.

        A build argument's value is not among them: the client takes it from its environment.
        """
        labels = {**self.labels, LABEL: self.name, DIGEST_LABEL: self.digest}
        return [
            "build",
            *("--file", self.dockerfile),
            *("--tag", self.ref),
            "--force-rm",
            *(["--pull"] if self.pull else []),
            *(f"--label={name}={value}" for name, value in sorted(labels.items())),
            *(f"--build-arg={name}" for name in sorted(self.build_args)),
            "-",
        ]


def tail(log: str, lines: int = 30) -> str:
    """The end of a build's log, without the noise of blank lines and of the legacy builder's farewell."""
    spoken = [line.rstrip() for line in log.splitlines() if line.strip()]
    return "\n".join(spoken[-lines:])
