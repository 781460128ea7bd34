# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.masking import MASK, masked, of_environment
from hypothesis import given
from hypothesis import strategies as st

KEY = "-----BEGIN 1\nMIIEvQIBADANBgkqhkiG9w0B\nend"
GOOGLE = json.dumps({"type": "service", "more": [{"private_key": KEY}]})
PASSWORD = 'p@ss/w"ör d%1'


@pytest.mark.parametrize(
    ("name", "value", "secrets"),
    [
        ("DATABASE_URL", "postgresql://app:hunter2@db:5432/app", {"hunter2"}),
        ("DATABASE_URL", "postgresql://app:hunt%40er@db/app?sslmode=require", {"hunt%40er", "hunt@er"}),
        ("DATABASE_URL", "postgres://app:hunter2@one:5432,two:5432/app", {"hunter2"}),
        ("DATABASE_URL", "postgresql:///app?host=/run/pg&password=hunter2", {"hunter2"}),
        ("DATABASE_URL", "postgresql://app@db/app", set()),
        ("DB", "host=db user=app password='hun ter2'", {"hun ter2"}),
        ("JDBC", "jdbc:postgresql://db/app?user=app&password=hunter2", {"hunter2"}),
        ("ADO", "Server=db;Database=app;User Id=app;Password=hunter2;", {"hunter2"}),
        ("REDIS_URL", "redis://:hunter2@cache:6379/0", {"hunter2"}),
        ("REDIS_URL", "redis://cache:6379/0", set()),
        ("SMTP_PASSWORD", "horse", {"horse"}),
        ("APP_SECRET", "key=of;some=kind", {"key=of;some=kind"}),
        ("STRIPE", "sk_live_51Hx", {"sk_live_51Hx"}),
        ("WEBHOOK", "https://hooks.example.com/T000/Xy12345678", {"https://hooks.example.com/T000/Xy12345678"}),
        ("GOOGLE", GOOGLE, {GOOGLE, KEY, KEY.splitlines()[1]}),
        # settings
        ("NODE_ENV", "production", set()),
        ("REGION", "us-east", set()),
        ("PORT", "8000", set()),
        ("HOST", "0.0.0.0", set()),
        ("STATIC", "/srv/static-1", set()),
        ("UPSTREAM", "http://search.internal:9200/", set()),
        ("APP_RELEASE", "bbb4df5b1a0c", set()),
        ("GIT_COMMIT_SHA", "0badcafe12", set()),
        ("RELEASE_TOKEN", "0badcafe12", {"0badcafe12"}),
        ("SHARED", "0badcafe12", {"0badcafe12"}),
        ("AUTH_ENABLED", "true", set()),
        ("TOKEN_MINUTES", "3600", set()),
        ("PASSWORD", "abc", set()),
        ("PASSWORD", "", set()),
    ],
)  # fmt: skip
def test_which_values_are_secrets(name: str, value: str, secrets: set[str]) -> None:
    assert of_environment({name: value}) == secrets


def test_where_nothing_is_to_be_guessed() -> None:
    arguments = {"BASE_IMAGE": "python:3.13-slim", "INDEX": "https://me:hunter2@packages.example.com/simple", "N": 1}
    assert of_environment(arguments, guess=False) == {"hunter2"}


@pytest.mark.parametrize(
    "form",
    [
        PASSWORD,
        quote(PASSWORD),
        quote(PASSWORD, safe=""),
        quote(PASSWORD, safe="").lower(),
        quote_plus(PASSWORD),
        json.dumps(PASSWORD),
        json.dumps(PASSWORD, ensure_ascii=False),
        repr(PASSWORD),
        base64.b64encode(PASSWORD.encode()).decode(),
        base64.urlsafe_b64encode(PASSWORD.encode()).decode(),
        *(base64.b64encode(f"{user}:{PASSWORD} and more".encode()).decode() for user in ("a", "ab", "abc")),
    ],
)
def test_a_secret_is_masked_in_all_its_forms(form: str) -> None:
    found = masked(f"before {form} after", [PASSWORD])
    assert found.startswith("before ")
    assert found.endswith(" after")
    assert MASK in found
    for piece in (PASSWORD, form.strip("\"'"), form.strip("\"'=")[6:-6]):
        assert piece not in found


@pytest.mark.parametrize(
    ("text", "secrets", "expected"),
    [
        ("nothing", [], "nothing"),
        ("abc", ["", "a", "abc"], "abc"),
        ("horses and a horse.", ["horse"], f"horses and a {MASK}."),
        ("postgresql://app:horse@db/horses", ["horse"], f"postgresql://app:{MASK}@db/horses"),
        ("long: secret-one-more", ["secret-one", "secret-one-more"], f"long: {MASK}"),
        ("xsecret-onex", ["secret-one"], f"x{MASK}x"),
        ("a.c of aXc", ["a.c!"], "a.c of aXc"),
    ],
)
def test_masked(text: str, secrets: list[str], expected: str) -> None:
    assert masked(text, secrets) == expected


@given(st.text(min_size=8, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_no_long_secret_survives(secret: str, before: str, after: str) -> None:
    assert secret not in masked(before + secret + after, [secret]).replace(MASK, "\0")
