# SPDX-License-Identifier: GPL-3.0-or-later
"""The page at /docs: the OpenAPI description as plain HTML, which needs no script and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d8dde3, #343b44); --dim: light-dark(#5b6673, #9aa5b1) }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 2.5rem auto; padding: 0 1.25rem }
h2 { margin-top: 2.5rem; text-transform: capitalize }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; padding: .6rem .9rem }
summary { cursor: pointer; overflow-wrap: anywhere }
code { font: .9em ui-monospace, monospace }
summary b { display: inline-block; min-width: 4.5rem }
small, p.dim { color: var(--dim) }
table { border-collapse: collapse; width: 100% }
td, th { border-top: 1px solid var(--line); padding: .35rem .6rem .35rem 0; text-align: left; vertical-align: top }
"""


def render(spec: dict[str, Any]) -> str:
    """Return the page for an OpenAPI description."""
    groups: dict[str, list[str]] = {}
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            groups.setdefault(tag, []).append("".join(_operation(spec, method, path, operation)))
    body = "".join(f"<h2>{escape(tag)}</h2>{''.join(parts)}" for tag, parts in groups.items())
    info = spec["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><link rel='icon' href='data:,'><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])} API</h1><p>{escape(info['description'])} "
        "Routes marked <small>token</small> need the header <code>Authorization: Bearer …</code>. "
        'For machines: <a href="openapi.json">openapi.json</a>.</p>'
        f"{body}<p class=dim>Release {escape(info['version'])}</p></body></html>"
    )


def _operation(spec: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    token = " <small>token</small>" if operation.get("security") else ""
    yield f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code>{token}</summary>"
    yield f"<p>{escape(operation.get('description') or operation['summary'])}</p>"
    rows = [
        (parameter["name"], parameter["in"], parameter["schema"], parameter.get("description", ""))
        for parameter in operation.get("parameters", [])
    ]
    content = operation.get("requestBody", {}).get("content", {})
    for media in content.values():
        for name, schema in _resolve(spec, media["schema"]).get("properties", {}).items():
            rows.append((name, "body", schema, schema.get("description", "")))
    if rows:
        yield "<table>"
        for name, place, schema, description in rows:
            cells = (f"<code>{escape(name)}</code>", place, _type(spec, schema), escape(description))
            yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        yield "</table>"
    codes = ", ".join(escape(code) for code in operation["responses"])
    yield f"<p class=dim>Answers with {codes}</p></details>"


def _resolve(spec: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = spec["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def _type(spec: dict[str, Any], schema: dict[str, Any]) -> str:
    schema = _resolve(spec, schema)
    if "anyOf" in schema:
        return " or ".join(_type(spec, option) for option in schema["anyOf"])
    if "enum" in schema:
        return " · ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(spec, schema['items'])}"
    if "properties" in schema:
        return ", ".join(f"<code>{escape(name)}</code>" for name in schema["properties"])
    return escape(schema.get("format") or schema.get("type", "any"))
