# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes an image as an archive for another host's engine, without the layers that are there.

It runs on the host that has the image by itself, without this collection, and writes to its standard output.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Collection, Iterable, Sequence
from typing import IO, Any

NOBODY_READS = 141  # the exit status of a shell's command that SIGPIPE has ended


def known(layers: Sequence[str], others: Iterable[Sequence[str]]) -> int:
    """How many of the first ``layers`` (digests, from the bottom) an engine has that holds images of these ``others``.

    A layer is told by all that lie below it (the chain ID of the OCI image specification), so that only those from the
    bottom count.
    """
    return max((_common(layers, other) for other in others), default=0)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    number = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        number += 1
    return number


def left_out(archive: tarfile.TarFile, skip: int) -> Collection[str]:
    """The files of an archive of ``docker save`` that hold the first ``skip`` layers of its image, and nothing else.

    Its manifest.json names each layer's file, from the bottom; one may be a link to another.
    """
    manifest = archive.extractfile("manifest.json")
    assert manifest
    files = [_behind(archive, name) for name in json.load(manifest)[0]["Layers"]]
    return set(files[:skip]) - set(files[skip:])


def _behind(archive: tarfile.TarFile, name: str) -> str:
    member = archive.getmember(name)
    if not member.issym():
        return name
    parts: list[str] = name.split("/")[:-1]
    for part in member.linkname.split("/"):
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


def reduce(source: IO[bytes], target: IO[bytes], skip: int) -> None:
    """Copy an archive of ``docker save`` without its first ``skip`` layers, compressed."""
    # The fastest level: a wire between hosts is seldom slower than a better one.
    with (
        tarfile.open(fileobj=source) as archive,
        gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as written,
    ):
        without = left_out(archive, skip)
        for member in archive:
            if member.name not in without:
                written.addfile(member, archive.extractfile(member) if member.isreg() else None)


def main(spec: dict[str, Any]) -> None:
    """Write the image ``spec["image"]`` without its first ``spec["skip"]`` layers."""
    with tempfile.TemporaryFile() as saved:
        done = subprocess.run(["docker", "save", spec["image"]], stdout=saved, stderr=subprocess.PIPE, check=False)
        if done.returncode:
            sys.exit(done.stderr.decode(errors="replace").strip() or f"docker save: exit status {done.returncode}")
        saved.seek(0)
        try:
            reduce(saved, sys.stdout.buffer, spec["skip"])
        except BrokenPipeError:  # the other end has ended, and says why
            os._exit(NOBODY_READS)
