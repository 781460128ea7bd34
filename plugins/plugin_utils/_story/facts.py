# SPDX-License-Identifier: GPL-3.0-or-later
"""What is worth telling of a result: a few words for each thing that modules return, and the sentences of a failure."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._text import counted, human, listed

Result = Mapping[str, Any]

HIDDEN = "What it said is hidden, since it may hold secrets."
UNEXPLAINED = "It gave no reason: run again with -v to see all that it said."
# What to do about what ssh and sudo say, which Ansible passes on without advice.
ADVICE = {
    "Missing sudo password": "This user becomes root there only with a password: run again with -K, which asks for it, "
    "or allow it without one (NOPASSWD in the host's sudoers).",
    "Permission denied (": "The host takes none of the keys that it was offered: correct ansible_user and "
    "ansible_ssh_private_key_file, or put the public key into that user's ~/.ssh/authorized_keys there.",
    "host key is known for": "Where the host is new, compare what `ssh-keyscan` shows of it with what its provider or "
    "its console shows, and add it to ~/.ssh/known_hosts.",
    **dict.fromkeys(
        ("Connection timed out", "Connection refused", "No route to host", "Could not resolve hostname"),
        "Is it the right address (ansible_host, ansible_port), and does a firewall let it through?",
    ),
}
LAST_LINES = 5  # of what a module printed in the place of its result


def _names(names: Any, result: Result) -> str:
    return f"{counted(len(names), 'migration')} read" if "problems" in result else ""


def _host(host: Any, _result: Result) -> str:
    return f"{human(host['free_megabytes'] * 1e6)} free"


def _database(database: Any, _result: Result) -> str:
    return f"PostgreSQL {database['server_version']}" + (", a new database" if database["created"] else "")


def _backup(backup: Any, _result: Result) -> str:
    if not backup["proved"]:
        return "would be taken and proved"
    unproved = backup.get("unproved")
    return (
        f"proved by a restore: {counted(len(backup['tables']), 'table')}, {counted(backup['rows'], 'row')}, "
        f"{human(backup['size'])}{'; not proved: ' + listed(unproved) if unproved else ''}"
    )


def _restore(restore: Any, _result: Result) -> str:
    return f"{counted(restore['tables'], 'table')}, {counted(restore['rows'], 'row')} of backup {restore['backup']}"


def _migrations(migrations: Any, result: Result) -> str:
    applied, pending = len(migrations["applied_now"]), len(migrations["pending"])
    if applied:
        return f"{applied} {'applied' if result.get('changed') else 'rehearsed'}"
    if migrations["status"] not in ("up_to_date", "pending"):
        return str(migrations["status"]).replace("_", " ")
    applies = result.get("changed") and "undone" not in result
    return f"{pending} {'would be applied' if applies else 'pending'}" if pending else "none pending"


def _undone(undone: Any, result: Result) -> str:
    pending = result.get("migrations", {}).get("pending", undone)  # none of them where check mode undid nothing
    return f"{len(undone)} {'undone' if result.get('changed') and pending else 'to be undone'}"


def _drift(_against: Any, result: Result) -> str:
    drift = result["drift"]
    return counted(len(drift), "difference") if drift else "no drift"


def _schema(schema: Any, _result: Result) -> str:
    return f"{counted(len(schema['tables']), 'table')}, {counted(schema['rows'], 'row')}"


def _seed(seed: Any, _result: Result) -> str:
    return "filled" if seed.get("wrote") else "to be filled" if seed["due"] else "not due"


def _models(models: Any, _result: Result) -> str:
    return counted(models["tables"], "model")


def _image(image: Any, _result: Result) -> str:
    return f"image {image['ref']}"


def _process(process: Any, _result: Result) -> str:
    return f"serves at {process['url']}" if process.get("pid") else ""


def _probe(probe: Any, _result: Result) -> str:
    return str(probe["shown"])


def _timings(timings: Any, _result: Result) -> str:
    return ", ".join(f"{name} {timings[name]:.1f} s" for name in ("start", "switch", "drain") if name in timings)


def _approval(approval: Any, result: Result) -> str:
    return str(approval)


FACTS: dict[str, Callable[[Any, Result], str]] = {
    "names": _names,
    "host": _host,
    "database": _database,
    "backup": _backup,
    "restore": _restore,
    "migrations": _migrations,
    "undone": _undone,
    "drift_against": _drift,
    "schema": _schema,
    "seed": _seed,
    "models": _models,
    "approval": _approval,
    "image": _image,
    "process": _process,
    "probe": _probe,
    "timings": _timings,
}


def facts(result: Result) -> dict[str, str]:
    """The few words for each thing in a result, by the thing's name. What is not as expected has none."""
    found = {}
    for noun, words in FACTS.items():
        if result.get(noun):
            with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
                found[noun] = words(result[noun], result)
    return {noun: text for noun, text in found.items() if text}


def parts(result: Result) -> Iterator[Result]:
    """The results of a loop, or the one result of what is none; and what a role leaves as its result, NAME_result."""
    results = result.get("results")
    if isinstance(results, list) and all(isinstance(each, Mapping) for each in results):
        yield from results
    else:
        yield result
    left = result.get("ansible_facts")
    if isinstance(left, Mapping):
        yield from (value for name, value in left.items() if name.endswith("_result") and isinstance(value, Mapping))


def changes(result: Result, task: str) -> list[str]:
    """What a result says was changed, in sentences; the task's name where it has none."""
    if not result.get("changed"):
        return []
    actions = result.get("actions")
    if isinstance(actions, list) and actions:
        return [str(action) for action in actions]
    return [f"{task}."] if task else []


def conditional(sentence: str) -> str:
    """A change as check mode tells it: it would be made, and was not."""
    return sentence if sentence.startswith("Would ") else f"Without --check: {sentence}"


def reason(result: Result) -> str:
    """What a failed task's result says to a person."""
    if result.get("censored"):
        return HIDDEN
    said = [result.get("msg")]
    if "rc" in result:  # a command, whose message is but its exit status
        said.append(result.get("stderr") or result.get("stdout"))
    for kind in ("module_stderr", "module_stdout"):
        said.append("\n".join(str(result.get(kind, "")).strip().splitlines()[-LAST_LINES:]))
    said += [advice for words, advice in ADVICE.items() if words in str(result.get("msg"))]
    return "\n".join(str(text).strip("\n") for text in said if text).rstrip() or UNEXPLAINED


def message(result: Result) -> str:
    """What a task has to say that is there to say something."""
    if result.get("censored"):
        return ""
    said = result.get("msg")
    if isinstance(said, list) and all(isinstance(each, str) for each in said):
        return "\n".join(said)
    if isinstance(said, str):
        return said
    rest = {name: value for name, value in result.items() if name not in ("changed", "failed") and name[:1] != "_"}
    return json.dumps(rest if said is None else said, indent=2, default=str, ensure_ascii=False)
