# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which an archive is restored."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.module_utils._backup.archive import Entry, Order, order, parse

LISTING = """;
; Archive created at 2026-01-01 00:00:00 UTC
;     dbname: a
;
; Selected TOC Entries:
;
6; 2615 16390 SCHEMA - sales owner
219; 1259 16385 TABLE public A owner
220; 1259 16394 TABLE public B owner
2616; 0 16385 TABLE DATA public A owner
;	depends on: 219
2467; 2606 16392 CONSTRAINT public A A_pkey owner
;	depends on: 219
2465; 1259 16393 INDEX public A_id_key owner
;	depends on: 219
2470; 0 0 COMMENT public INDEX "A_id_key" owner
;	depends on: 2465
2466; 1259 16400 INDEX public B_a_idx owner
;	depends on: 220
2471; 0 0 ACL public TABLE "A" owner
;	depends on: 219
2468; 2606 16399 FK CONSTRAINT public B B_a_fkey owner
;	depends on: 219 220 2467
2431; 3466 16419 EVENT TRIGGER - et owner
"""


def test_parse() -> None:
    entries = parse(LISTING)
    assert entries[0] == Entry(6, 2615, "SCHEMA - sales owner")
    assert entries[-2] == Entry(2468, 2606, "FK CONSTRAINT public B B_a_fkey owner", (219, 220, 2467))
    assert len(entries) == 11
    assert parse("") == []


def test_what_a_foreign_key_might_lean_on_instead_comes_after_it() -> None:
    assert order(parse(LISTING)) == Order(
        schemas=(6,),
        main=(219, 220, 2616, 2467, 2466, 2468),
        late=(2465, 2470, 2471, 2431),
        plain=False,
    )


def test_without_such_an_index_the_order_is_that_of_pg_restore() -> None:
    lines = [line for line in LISTING.splitlines() if not line.startswith(("2465;", "2470;"))]
    found = order(parse("\n".join(lines)))
    assert found.plain
    assert found.late == ()


def test_a_primary_key_comes_last_when_the_foreign_key_leans_on_another_index() -> None:
    found = order(parse(LISTING.replace("219 220 2467", "219 220 2465")))
    assert found.late == (2467, 2471, 2431)


def test_partitions_are_attached_from_the_root_downwards() -> None:
    entries = [
        Entry(1, 1259, "TABLE public reading owner"),
        Entry(2, 1259, "TABLE public reading_2026 owner", (1,)),
        Entry(3, 1259, "TABLE public cold_2026 owner", (2,)),
        Entry(10, 0, "TABLE ATTACH public cold_2026 owner", (3, 2)),
        Entry(11, 0, "TABLE ATTACH public reading_2026 owner", (2, 1)),
    ]
    assert order(entries) == Order(schemas=(), main=(1, 2, 3, 11, 10), late=(), plain=False)


def test_a_schema_that_is_called_like_a_kind_of_object() -> None:
    entries = parse("1; 1259 5 TABLE ATTACH x owner\n2; 1259 6 TABLE DATA y owner\n3; 1259 7 INDEX ATTACH i owner\n")
    assert [each.attaches for each in entries] == [False, False, False]
    assert [each.index for each in entries] == [False, False, True]
    assert order(entries).plain


def test_rights_on_what_is_postgresqls_own_are_a_superusers() -> None:
    entries = parse(
        "1; 1259 5 TABLE public t owner\n2; 0 0 ACL pg_catalog FUNCTION lo_create(oid) postgres\n"
        "3; 0 0 ACL public TABLE t owner\n"
    )
    assert order(entries).plain
    assert order(entries, superuser=False) == Order(schemas=(), main=(1, 3), late=(), plain=False)
    assert order(entries[::2], superuser=False).plain
