# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine of the host, by its command line: nothing but ``docker`` is needed there."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from typing import IO

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.logs import of_files
from ansible_collections.slipway.deploy.plugins.module_utils._host.masking import masked, of_environment

PULLS_WITHIN = 600  # seconds


def run(
    *arguments: str, stdin: IO[bytes] | None = None, environment: Mapping[str, str] | None = None, timeout: float = 120
) -> tuple[int, str]:
    """Run ``docker ARGUMENTS``; return its exit status and what it wrote, both streams in one.

    Raises SlipwayError when there is no ``docker`` on PATH or it takes longer than ``timeout`` seconds.
    """
    try:
        done = subprocess.run(
            ["docker", *arguments],
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise SlipwayError(
            "There is no docker on the host's PATH: install Docker Engine there, or use the role docker_engine."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SlipwayError(
            f"docker {arguments[0]} has not ended within {timeout:g} s: see whether the engine answers to docker info."
        ) from error
    return done.returncode, done.stdout.decode(errors="replace")


def must(*arguments: str, timeout: float = 120) -> str:
    """``run``, and SlipwayError with the command's own words when it fails."""
    status, output = run(*arguments, timeout=timeout)
    if status:
        reason = " ".join(output.split()) or f"exit status {status}"
        raise SlipwayError(f"docker {' '.join(arguments[:2])} failed: {reason}; check the engine with docker info.")
    return output


def found(kind: str, name: str, template: str) -> str | None:
    """``docker KIND inspect`` of one object by a Go template, or None where there is none of that name."""
    status, output = run(kind, "inspect", "--format", template, name)
    if not status:
        return output.strip()
    if "no such" in output.lower() or f"{kind} {name} not found" in output:
        return None
    raise SlipwayError(
        f"The Docker engine can't be asked for {kind} {name}: {' '.join(output.split())}; start it, or allow this "
        "user to reach it."
    )


def secrets(container: str) -> frozenset[str]:
    """The secrets in a container's environment, and in the host's files of which that says NAME_FILE=PATH.

    What its image already says is none. Nothing when there is no such container.
    """
    own = found("container", container, "{{json .Config.Env}}")
    if own is None:
        return frozenset()
    image = found("container", container, "{{.Image}}") or ""
    public = json.loads(found("image", image, "{{json .Config.Env}}") or "null") or []
    entries = [entry for entry in json.loads(own) or [] if entry not in public]
    mounts = json.loads(found("container", container, "{{json .Mounts}}") or "null") or []
    given = (entry.partition("=") for entry in [*entries, *of_files(entries, mounts)])
    return of_environment({name: value for name, _equals, value in given})


def log_end(container: str, lines: int = 30) -> str:
    """The last lines that a container wrote, with the secrets of its environment masked."""
    return masked(run("logs", "--tail", str(lines), container)[1].strip(), secrets(container))
