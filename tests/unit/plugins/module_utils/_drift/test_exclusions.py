# SPDX-License-Identifier: GPL-3.0-or-later
"""What drift takes no notice of."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.module_utils._drift.exclusions import without_environment


def test_the_environments_part_is_left_out() -> None:
    catalogue = {
        "owner of schema tools": "postgres",
        "rights on schema tools for app": "USAGE",
        "owner of schema public": "pg_database_owner",
        "rights on schema public for PUBLIC": "USAGE",
        "default rights on r of owner in all schemas": "app: SELECT",
        **(kept := {
            "owner of schema shop": "owner",
            "rights on schema shop for app": "USAGE",
            "rights on schema public for app": "USAGE",
            "rights on public.t for app": "SELECT",
            "schema tools": "",
        }),
    }  # fmt: skip
    assert without_environment(catalogue, "owner") == kept
