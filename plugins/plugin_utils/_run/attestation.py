# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the files of a run are as the operator's key signed them.

What is signed is a statement in the shape of in-toto (https://github.com/in-toto/attestation, spec/v1/statement.md):
its subject is what was released, its predicate says which record and which page are meant by their digests. The
signature is that of ``ssh-keygen -Y sign``, so that any OpenSSH from 8.1 on can verify it, see ssh-keygen(1) and its
ALLOWED SIGNERS.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import replace_file
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.record_files import stem

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slipway.deploy/run/v1"
NAMESPACE = "slipway-run"  # of the signature, so that one made for something else does not count
ENDING = ".intoto.json"
SIGNED = "as it was signed"
LIMIT = 20  # seconds for an agent to answer
_COMMIT, _DIGEST, _DIRTY = "gitCommit", "sha256", "-dirty"


@dataclass(frozen=True)
class Verdict:
    """A record by its name without an ending, who signed it ('' for nobody known), and what is wrong with it."""

    name: str
    signer: str
    problem: str


def statement(record: Mapping[str, Any], files: Mapping[str, str], previous: Mapping[str, str]) -> dict[str, Any]:
    """The statement about a run; ``files`` and ``previous``, the statement before it, are digests by name."""
    revision = str(record.get("revision", ""))
    commit = {_COMMIT: revision} if revision and not revision.endswith(_DIRTY) else {}
    subject = [{"name": record["application"], "digest": {"slipwayRelease": record["release"], **commit}}]
    for image in record.get("images", ()):
        kind, _, digest = image["digest"].partition(":")
        subject += [{"name": image["name"], "digest": {kind: digest}}] if digest else []
    return {
        "_type": STATEMENT,
        "subject": subject,
        "predicateType": PREDICATE,
        "predicate": {
            **{name: record[name] for name in ("environment", "verb", "status", "started", "finished")},
            "files": [{"name": name, "digest": {_DIGEST: digest}} for name, digest in files.items()],
            "previous": [{"name": name, "digest": {_DIGEST: digest}} for name, digest in previous.items()],
        },
    }


def attest(record: Mapping[str, Any], directory: Path, key: str) -> Path:
    """Write and sign the statement about a run whose files are in the directory; where it is.

    ``key`` is a file that ssh-keygen made, or a public one whose private one an agent has.

    Raises SlipwayError or OSError.
    """
    name = stem(record)
    earlier = [file for file in sorted(directory.glob(f"*{ENDING}")) if file.name < name + ENDING]
    files = [directory / f"{name}{ending}" for ending in (".json", ".html")]
    made = statement(record, _digests(files), _digests(earlier[-1:]))
    text = json.dumps(made, ensure_ascii=False, indent=2) + "\n"
    signature = _keygen("sign", ["-f", str(Path(key).expanduser())], text.encode())
    if signature.returncode:
        raise SlipwayError(
            f"ssh-keygen did not sign it with {key}: {_said(signature)}; give a key without a passphrase, or its .pub "
            "file where an agent has the key."
        )
    place = directory / f"{name}{ENDING}"
    replace_file(f"{place}.sig", signature.stdout)
    replace_file(str(place), text)
    return place


def verified(directory: Path, signers: Path) -> list[Verdict]:
    """The records in the directory, by name, and those of which only a statement is left.

    ``signers`` is a file in the format of ALLOWED SIGNERS. Raises SlipwayError where it can't be read.
    """
    if not signers.is_file():
        raise SlipwayError(
            f"There is no file of allowed signers at {signers}, so that no signature can be verified: write one, each "
            f"line of it a name and a public key, as by (echo -n 'you@example.com '; cat KEY.pub) > {signers}."
        )
    endings = (ENDING, ".json")
    names = {
        file.name.removesuffix(ENDING).removesuffix(".json") for end in endings for file in directory.glob(f"*{end}")
    }
    oldest = min((file.name for file in directory.glob(f"*{ENDING}")), default="")
    return [_verdict(directory, name, signers, oldest) for name in sorted(names)]


def _verdict(directory: Path, name: str, signers: Path, oldest: str) -> Verdict:
    place, signature = directory / f"{name}{ENDING}", directory / f"{name}{ENDING}.sig"
    if not place.is_file() or not signature.is_file():
        return Verdict(name, "", "is not signed")
    text = place.read_bytes()
    known = _keygen("find-principals", ["-s", str(signature), "-f", str(signers)])
    signer = known.stdout.decode(errors="replace").split("\n")[0].strip()
    if known.returncode or not signer:
        return Verdict(name, "", f"is signed by nobody whom {signers} names")
    if _keygen("verify", ["-s", str(signature), "-f", str(signers), "-I", signer], text).returncode:
        return Verdict(name, "", "has a statement that is not what was signed")
    return Verdict(name, signer, _altered(directory, name, json.loads(text), oldest))


def _altered(directory: Path, name: str, said: Mapping[str, Any], oldest: str) -> str:
    """What of a statement that was signed is no longer so."""
    predicate = said.get("predicate", {})
    files = {each["name"]: each["digest"].get(_DIGEST) for each in predicate.get("files", ())}
    if (said.get("_type"), said.get("predicateType")) != (STATEMENT, PREDICATE) or f"{name}.json" not in files:
        return "has a statement that is about something else"
    before = {} if name + ENDING == oldest else predicate.get("previous", ())
    followed = {each["name"]: each["digest"].get(_DIGEST) for each in before}
    for file, digest in {**files, **followed}.items():
        place = directory / Path(file).name
        what = "record" if file == f"{name}.json" else "page" if file in files else f"record before it, {file},"
        if not place.is_file():
            return f"was altered: its {what} is gone" if file in files else f"was altered: the {what} is gone"
        if _digests([place])[place.name] != digest:
            return f"was altered: {'its' if file in files else 'the'} {what} is not what was signed"
    return ""


def _digests(files: list[Path]) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _keygen(what: str, arguments: list[str], text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen -Y without a terminal, so that it asks nobody for a passphrase."""
    named = [] if what == "find-principals" else ["-n", NAMESPACE]
    command = ["ssh-keygen", "-Y", what, *named, *arguments]
    try:
        return subprocess.run(
            command, input=text, capture_output=True, timeout=LIMIT, check=False, start_new_session=True
        )
    except subprocess.TimeoutExpired as error:
        raise SlipwayError(f"ssh-keygen -Y {what} did not end within {LIMIT} s.") from error


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stderr.decode(errors="replace").strip().replace("\r", "").replace("\n", "; ") or "no reason given"
