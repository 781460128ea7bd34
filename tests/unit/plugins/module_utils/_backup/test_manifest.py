# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import json

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import (
    DATA,
    Manifest,
    Reading,
    age,
    backup_name,
    choose,
    compared,
    normalise,
    without,
)
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from hypothesis import given
from hypothesis import strategies as st
from support.manifest import MOMENT, manifest


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("1.4.2", "1.4.2"),
        ("feature/login now", "feature-login-now"),
        ("../../etc/passwd", "etc-passwd"),
        ("", "unnamed"),
        ("ünï", "n"),
        ("x" * 100, "x" * 60),
    ],
)
def test_backup_name(release: str, name: str) -> None:
    assert backup_name(MOMENT, release) == f"20250806T093012.345Z_{name}"


@given(st.text())
def test_a_name_is_a_plain_file_name(release: str) -> None:
    name = backup_name(MOMENT, release)
    assert "/" not in name
    assert name.isascii()
    assert len(name) < 100


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "CHECK (((x)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))",
            "CHECK (((x)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))",
        ),
        ("'2024-01-01'::timestamp(3) with time zone", "'2024-01-01'"),
        ("'x'::\"My type\"", "'x'::public.mood[]"),
        ("a::numeric(10,2) + 1", "( a + 1 )"),
        ('\'x\'::"My schema"."my type"[]', "'x'"),
    ],
)
def test_normalise(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CHECK ((x > 1))", "CHECK ((x > 2))"),
        ("state = 'new'", "state = 'old'"),
        ("DEFAULT '::1'::text", "DEFAULT '::2'::text"),
        ("x = '(a)'", "x = 'a'"),
        ("x = 'it''s  a'", "x = 'it''s a'"),
        ('"a (b)" > 1', '"a b" > 1'),
        ("AS $function$ RETURN  1 $function$", "AS $function$ RETURN 1 $function$"),
    ],
)
def test_normalise_keeps_what_matters(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)
    assert compared("column", one) != compared("column", other)


def test_without() -> None:
    objects = {("comment", "table t"): "x", ("comment", "large object 1"): "x", ("large objects of", "a"): "1",
               ("data of", "v"): "NOT POPULATED", ("table", "large object t"): ""}  # fmt: skip
    assert list(without(objects, DATA)) == [("comment", "table t"), ("table", "large object t")]


def test_a_manifest_of_the_first_format_is_read() -> None:
    old = {**json.loads(manifest().text()), "format": 1}
    for name in ("roles", "extensions", "help", "unproved", "unprovable"):
        del old[name]
    assert Manifest.parse("n1", json.dumps(old)) == manifest(format=1)


def test_the_digest_does_not_depend_on_order() -> None:
    objects = {("table", "a"): "x", ("table", "b"): "y"}
    assert Reading({}, {}, objects).digest == Reading({}, {}, dict(reversed(objects.items()))).digest


def test_a_manifest_comes_back_as_it_was() -> None:
    assert Manifest.parse("n1", manifest().text()) == manifest()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "The manifest of backup 'n1' can't be read (Expecting property name enclosed in double quotes"),
        ("{}", "The manifest of backup 'n1' can't be read ("),
        ("[1]", "The manifest of backup 'n1' can't be read ("),
        (
            manifest(format=9).text(),
            "The manifest of backup 'n1' has format 9, but this version of Slipway reads up to 2: use",
        ),
        (manifest(2).text(), "The manifest n1.json describes backup 'n2': give both files their own name back."),
        (manifest(dump="../x").text(), "The manifest n1.json describes backup 'n1'"),
    ],
)
def test_what_is_no_manifest(text: str, message: str) -> None:
    with pytest.raises(SlipwayError) as raised:
        Manifest.parse("n1", text)
    assert str(raised.value).startswith(message)


def test_choose() -> None:
    known = [manifest(2), manifest(1), manifest(3, environment="prod")]
    assert choose(known, {}, "latest", "autotest", "test", "/b", explicit=False).name == "n2"
    assert choose(known, {}, "n1", "autotest", "test", "/b", explicit=False).name == "n1"
    assert choose(known, {}, "latest", "autotest", "prod", "/b", explicit=True).name == "n3"
    with pytest.raises(SlipwayError, match=r"There is no backup 'n9' in /b: .* \(newest: n2, n1\)\.$"):
        choose(known, {}, "n9", "autotest", "test", "/b", explicit=False)
    with pytest.raises(SlipwayError, match=r"not of 'autotest', 'local': choose another one\.$"):
        choose(known, {}, "n3", "autotest", "local", "/b", explicit=True)


@pytest.mark.parametrize(
    ("wanted", "unreadable", "chosen"),
    [
        ("latest", [], "n2"),
        ("latest", ["n1"], "n2"),  # older than the newest
        ("latest", ["n3"], "n3 is damaged"),
        ("n3", ["n3"], "n3 is damaged"),
        ("n1", ["n3"], "n1"),
    ],
)
def test_an_older_backup_is_not_taken_for_a_damaged_one(wanted: str, unreadable: list[str], chosen: str) -> None:
    known = [manifest(2), manifest(1)]
    problems = dict.fromkeys(unreadable, "It is cut off.")
    arguments = (known, problems, wanted, "autotest", "test", "/b")
    if not chosen.endswith("damaged"):
        assert choose(*arguments, explicit=False).name == chosen
        return
    with pytest.raises(SlipwayError) as raised:
        choose(*arguments, explicit=False)
    assert str(raised.value) == (
        "Backup 'n3' in /b is damaged: It is cut off. Nothing was restored: bring its manifest back from a copy, or "
        "name another backup (the newest whole one: n2)."
    )


def test_only_a_damaged_backup_is_not_none() -> None:
    with pytest.raises(SlipwayError, match=r"Backup 'n3' in /b is damaged: .* \(the newest whole one: none\)\.$"):
        choose([], {"n3": "It is cut off."}, "latest", "autotest", "test", "/b", explicit=False)


def test_age_and_what_the_text_says() -> None:
    assert age(manifest(1), datetime.datetime(2025, 8, 6, 9, 31, 1, tzinfo=datetime.UTC)) == 60
    assert json.loads(manifest().text())["proved"] is True
