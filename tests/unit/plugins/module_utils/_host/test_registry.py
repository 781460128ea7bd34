# SPDX-License-Identifier: GPL-3.0-or-later
"""Which registry an image's name leads to."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.registry import registry_of


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("postgres", "docker.io"),
        ("postgres:17", "docker.io"),
        ("team/postgres:17@sha256:0123", "docker.io"),
        ("ghcr.io/team/app", "ghcr.io"),
        ("localhost/app:1", "localhost"),
        ("registry:5000/app:1", "registry:5000"),
        ("sha256:0123", "docker.io"),
    ],
)
def test_it_is_the_first_part_that_looks_like_a_host(image: str, registry: str) -> None:
    assert registry_of(image) == registry
