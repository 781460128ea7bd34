# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an image is sent to an engine that has some of its layers, in each form in which engines save one."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._release.image_archive import known, reduce


@pytest.mark.parametrize(
    ("others", "number"),
    [
        ([], 0),
        ([["x"]], 0),
        ([["a"]], 1),
        ([["a", "x"], ["a", "b"]], 2),
        ([["a", "b", "c", "d"]], 3),
        ([["b", "c"]], 0),  # not from the bottom
        ([[]], 0),
    ],
)
def test_only_layers_from_the_bottom_are_known(others: Sequence[Sequence[str]], number: int) -> None:
    assert known(["a", "b", "c"], others) == number


def saved(layers: Sequence[str], files: Mapping[str, bytes], links: Mapping[str, str]) -> io.BytesIO:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as written:
        manifest = json.dumps([{"Config": "config.json", "RepoTags": ["shop:1"], "Layers": layers}]).encode()
        for name, content in {**files, "config.json": b"{}", "manifest.json": manifest}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            written.addfile(member, io.BytesIO(content))
        for name, target in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            written.addfile(member)
    archive.seek(0)
    return archive


def sent(archive: io.BytesIO, skip: int) -> dict[str, bytes | None]:
    target = io.BytesIO()
    reduce(archive, target, skip)
    target.seek(0)
    with tarfile.open(fileobj=target, mode="r:gz") as found:
        return {
            each.name: stream.read() if (stream := found.extractfile(each)) else None for each in found if each.isreg()
        }


LEGACY = (["1/layer.tar", "2/layer.tar", "3/layer.tar"], {f"{name}/layer.tar": name.encode() for name in "123"})
OCI = (["blobs/sha256/1", "blobs/sha256/2"], {"blobs/sha256/1": b"1", "blobs/sha256/2": b"2", "index.json": b"{}"})


@pytest.mark.parametrize("skip", [0, 1, 2, 3])
def test_layers_that_are_there_are_left_out(skip: int) -> None:
    found = sent(saved(*LEGACY, {}), skip)
    assert {name for name in found if name.endswith("layer.tar")} == set(LEGACY[0][skip:])
    assert {name: found[name] for name in LEGACY[0][skip:]} == {name: name[:1].encode() for name in LEGACY[0][skip:]}
    assert {"config.json", "manifest.json"} <= set(found)


def test_as_the_layout_of_oci_has_it() -> None:
    assert set(sent(saved(*OCI, {}), 1)) == {"blobs/sha256/2", "index.json", "config.json", "manifest.json"}


def test_a_layer_that_is_there_twice_stays_while_one_of_them_is_wanted() -> None:
    layers, files = ["1/layer.tar", "2/layer.tar", "3/layer.tar"], {"1/layer.tar": b"1", "2/layer.tar": b"2"}
    archive = saved(layers, files, {"3/layer.tar": "../1/layer.tar"})
    assert "1/layer.tar" in sent(archive, 2)
    archive.seek(0)
    assert not {"1/layer.tar", "2/layer.tar"} & set(sent(archive, 3))
