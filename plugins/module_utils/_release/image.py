# SPDX-License-Identifier: GPL-3.0-or-later
"""Images named by the digest of what they are built from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._release.prune import to_prune

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


@dataclass(frozen=True)
class Image:
    """An image of an engine: its id, for which CPUs it is, and the digests of its layers from the bottom."""

    id: str = ""
    architecture: str = ""
    layers: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """All of it, for a result."""
        return asdict(self)


def look(ref: str) -> Image:
    """The image of this name and tag; one without an id where the engine has none."""
    found = docker.found(
        "image", ref, '{"id": {{json .Id}}, "architecture": {{json .Architecture}}, "layers": {{json .RootFS.Layers}}}'
    )
    return Image(**json.loads(found)) if found else Image()


def prune(name: str, current: str, keep: int) -> list[str]:
    """Remove what was built by this ``name``, but for ``current`` and ``keep`` more; what was done, in sentences.

    The engine itself refuses to remove an image that a container uses: that one stays.
    """
    listing = docker.must("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"--filter=label={LABEL}={name}")
    refs = [ref for ref in listing.split() if ref.startswith(f"{name}:")]
    return [f"Removed {ref}." for ref in to_prune(refs, current, keep) if not docker.run("image", "rm", ref)[0]]


def tail(log: str, lines: int = 30) -> str:
    """The end of a build's log, without the noise of blank lines and of the legacy builder's farewell."""
    spoken = [line.rstrip() for line in log.splitlines() if line.strip()]
    return "\n".join(spoken[-lines:])
