# SPDX-License-Identifier: GPL-3.0-or-later
"""Which values of an environment are secrets, and texts of applications without them.

What an application writes about its failure goes to the terminal and into the ledger. It may hold anything that the
application was given, as it was given or encoded, so it is masked by value before it becomes part of a result.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK = "********"
# Shorter ones are no secrets: masking them would leave no text.
SHORTEST = 4
# Shorter ones are masked where they stand alone, not within a word, and are not looked for in base64.
SHORT = 8

_NAMES_A_SECRET = re.compile(r"pass|pwd|secret|token|key|credential|private|auth|salt|pepper|dsn|cookie", re.IGNORECASE)
# What says which build it is, most often by a digest (SENTRY_RELEASE, GIT_COMMIT).
_NAMES_A_BUILD = re.compile(r"(^|_)(release|version|revision|commit|sha)(_|$)", re.IGNORECASE)
# name=value pairs as in libpq's, ADO's and JDBC's connection strings and in a URL's query.
_PAIR = re.compile(r"""(\w+)\s*=\s*(?:'((?:\\.|[^'\\])*)'|"([^"]*)"|([^\s;&'"]+))""")
# What says by its look that it is a setting: a number, a path, words or a host's name without a digit, a plain address.
_SETTING = re.compile(
    r"""[\d.,:+-]* | ~?/[\w./@+-]* | [A-Za-z]+(?:[ ._:/@-]+[A-Za-z]+)*
        | \w+://[\w.-]+(?::\d+)?(?:/(?:[A-Za-z._-]*|\d{1,3}))*""",
    re.VERBOSE,
)
# What no secret looks like, whatever its name is (TOKEN_MINUTES, AUTH_ENABLED).
_SWITCH = re.compile(r"[\d.]{0,7}|true|false|yes|no|on|off|none|null|enabled|disabled", re.IGNORECASE)


def of_environment(environment: Mapping[str, object], *, guess: bool = True) -> frozenset[str]:
    """The secrets in an environment's values.

    These are the values whose name says so, passwords within URLs and connection strings, and, with ``guess``, every
    other value that does not look like a setting (a number, a path, a word) and is not named as a build's.
    """
    found: set[str] = set()
    for name, given in environment.items():
        value = str(given)
        inside = set(embedded(value))
        found |= inside
        named = bool(_NAMES_A_SECRET.search(name))
        if inside and ("://" in value or not named):
            continue  # the rest of an address is no secret, and tells what went wrong
        if named:
            secret = not _SWITCH.fullmatch(value)
        else:
            told = _SETTING.fullmatch(value) or _NAMES_A_BUILD.search(name)
            secret = guess and len(value) >= SHORT and not told
        if secret:
            found |= {value, *_lines(value), *_leaves(value)}
    return frozenset(secret for secret in found if len(secret) >= SHORTEST)


def embedded(value: str) -> Iterator[str]:
    """The passwords within a URL or a connection string, as they stand there and as they are meant."""
    try:
        url = urlsplit(value)
        password = url.password
    except ValueError:
        url, password = None, None
    if url and url.scheme and password:
        yield from (password, unquote(password))
    for name, single, double, bare in _PAIR.findall(value):
        secret = single or double or bare
        if secret and _NAMES_A_SECRET.search(name):
            yield from (secret, unquote(secret))


def _lines(value: str) -> Iterator[str]:
    """The lines of a value that has several, such as a private key: a log may show them one by one."""
    lines = value.splitlines()
    if len(lines) > 1:
        yield from (line.strip() for line in lines if len(line.strip()) >= 2 * SHORT)


def _leaves(value: str) -> Iterator[str]:
    """The texts in a value that is a JSON document."""
    try:
        nodes = [json.loads(value)] if value.lstrip().startswith(("{", "[")) else []
    except ValueError:
        return
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            nodes += node.values()
        elif isinstance(node, list):
            nodes += node
        elif isinstance(node, str) and len(node) >= SHORT and not _SETTING.fullmatch(node):
            yield from (node, *_lines(node))


def forms(secret: str) -> set[str]:
    """How a secret may stand in a text: as it is, percent-encoded, escaped in JSON and Python, or within base64."""
    found = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    for encoded in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        found |= {encoded, re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)}
    raw = secret.encode(errors="surrogateescape")
    if len(raw) >= SHORT:
        for before in range(3):  # bytes that precede it in a group of three: "user:" of Basic authentication
            encoded = base64.b64encode(b"\0" * before + raw).decode()
            whole = encoded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
            found |= {whole, whole.replace("+", "-").replace("/", "_")}
    return found


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text with each of the secrets, in any of its forms, masked. What is too short to be one stays."""
    wanted = {form for secret in secrets if len(secret) >= SHORTEST for form in forms(secret)}
    if not wanted:
        return text
    patterns = (
        re.escape(form) if len(form) >= SHORT else rf"(?<![^\W_]){re.escape(form)}(?![^\W_])"
        for form in sorted(wanted, key=len, reverse=True)
    )
    return re.sub("|".join(patterns), MASK, text)
