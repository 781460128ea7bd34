# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run leaves is signed as it ends, and what was altered afterwards is told; see also test_attestation.py."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.deployment import Host
from support.modules import run_ansible

pytestmark = pytest.mark.once


def test_a_run_that_is_signed_and_then_altered(tmp_path: Path) -> None:
    host, key, signers, runs = Host(tmp_path), tmp_path / "key", tmp_path / "signers", tmp_path / "runs"
    host.state.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)], check=True)
    ended = {"status": "succeeded", "started": "2026-01-02T03:04:05+00:00", "records": str(runs), "key": str(key)}
    about = {"directory": str(runs), "signers": str(signers)}
    missing = run_ansible("slipway.deploy.attestation_info", about, tmp_path)
    assert missing["msg"].startswith(f"There is no file of allowed signers at {signers}, so that no signature can be")
    signers.write_text(f"zoe@example.com {key.with_suffix('.pub').read_text()}")
    refused = host.ansible("locked", key=str(tmp_path / "none"))
    assert refused["msg"] == (
        f"{tmp_path}/none is to sign the record of this run, but there is no such file: make it with ssh-keygen -t "
        "ed25519, correct app_record_key, or leave that out."
    )
    host.ansible("unlocked", **ended)
    [record] = (file for file in runs.glob("*.json") if ".intoto" not in file.name)
    found = run_ansible("slipway.deploy.attestation_info", about, tmp_path, "--check")
    signed = {"name": record.stem, "signer": "zoe@example.com", "problem": ""}
    assert (found["attestations"], found["problems"]) == ([signed], [])
    record.write_text(record.read_text().replace("succeeded", "succeedeD"))
    found = run_ansible("slipway.deploy.attestation_info", about, tmp_path)
    assert (found["changed"], found["problems"]) == (
        False, [f"The record {record.stem} was altered: its record is not what was signed."]
    )  # fmt: skip

    # A key that is not there costs a warning: the run has ended well.
    again = {**ended, "started": "2026-01-02T03:05:05+00:00", "key": str(tmp_path / "none")}
    assert "failed" not in host.ansible("unlocked", **again)
    found = run_ansible("slipway.deploy.attestation_info", about, tmp_path)
    assert found["attestations"][1]["problem"] == "is not signed"
