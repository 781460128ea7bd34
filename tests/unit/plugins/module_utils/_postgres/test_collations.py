# SPDX-License-Identifier: GPL-3.0-or-later
"""The sentences about a system that sorts otherwise."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.module_utils._postgres.collations import explain


def test_each_object_is_named_with_both_versions_and_its_remedy() -> None:
    found = [("COLLATION public.own", "2.28", "2.36"), ('DATABASE "Shop"', "2.28", None)]
    assert explain("Shop", found) == (
        "The system sorts text otherwise than when the indexes of database Shop were made (COLLATION public.own was "
        'made with version 2.28, now it is 2.36; DATABASE "Shop" was made with version 2.28, now it is none), so that '
        "they may be in the wrong order: go back to the former image or C library, or check them (pg_amcheck "
        '--heapallindexed Shop), rebuild them (REINDEX DATABASE "Shop"), and then note the new version (ALTER '
        'COLLATION public.own REFRESH VERSION; ALTER DATABASE "Shop" REFRESH COLLATION VERSION).'
    )
