# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.module_utils._release import image

DIGEST = "0123456789abcdef" * 4


def test_ref_is_the_name_and_twelve_digits() -> None:
    assert image.Build("shop", DIGEST).ref == "shop:0123456789ab"


def test_command_reads_the_context_from_stdin() -> None:
    assert image.Build("shop", DIGEST).command() == [
        "build", "--file", "Dockerfile", "--tag", "shop:0123456789ab", "--force-rm",
        f"--label=slipway.digest={DIGEST}", "--label=slipway.image=shop", "-",
    ]  # fmt: skip


def test_command_names_build_arguments_without_their_values() -> None:
    build = image.Build("shop", DIGEST, build_args={"BASE": "python:3", "A": "1"}, labels={"who": "me"}, pull=True)
    command = build.command()
    assert [item for item in command if "build-arg" in item] == ["--build-arg=A", "--build-arg=BASE"]
    assert "--pull" in command
    assert "--label=who=me" in command


def test_tail_is_the_end_without_blank_lines() -> None:
    assert image.tail("one\n\n two \n\nthree\n", 2) == " two\nthree"
