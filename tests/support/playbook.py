# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that is run as an operator runs it, with the callback slipway.deploy.story, on a terminal or off one."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from support.release import ROOT

REMARK = """\
#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({})
module.warn("It is nearly full.")
module.exit_json(changed=False)
"""
SECONDS = re.compile(r" +\d+\.\d s$", re.MULTILINE)


def command(home: Path, *flags: str, playbook: str) -> list[str]:
    (home / "play.yml").write_text(playbook)
    (home / "library").mkdir(exist_ok=True)
    (home / "library/remark.py").write_text(REMARK)
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    python = f"ansible_python_interpreter={sys.executable}"
    return [program, "-i", "localhost,", "-c", "local", "-e", python, *flags, str(home / "play.yml")]


def surroundings(home: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", **more}


def play(home: Path, *flags: str, playbook: str, code: int = 0, errors: bool = True, **environ: str) -> str:
    done = subprocess.run(
        command(home, *flags, playbook=playbook), cwd=ROOT,
        env=surroundings(home, **({"ANSIBLE_NOCOLOR": "1"} | environ)),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT if errors else subprocess.DEVNULL,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    return done.stdout


def told_nothing(home: Path, playbook: str) -> subprocess.CompletedProcess[str]:
    """A playbook of Slipway's own, by somebody who has said nothing but the hosts, in the file ``home/hosts``."""
    (home / "hosts").write_text("[database]\nlocalhost\n[backend]\nlocalhost\n")
    program = Path(sys.executable).with_name("ansible-playbook")
    return subprocess.run(
        [program, "-i", home / "hosts", "-c", "local", f"{playbook}.yml"], cwd=ROOT,
        env=surroundings(home, ANSIBLE_NOCOLOR="1"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False,
    )  # fmt: skip


def words(home: Path, output: str) -> str:
    """What was printed, without what changes from run to run."""
    return SECONDS.sub("", output).replace(str(home / "play.yml"), "PLAY")


class Terminal:
    """A run on a terminal of 80 columns."""

    def __init__(self, home: Path, *flags: str, playbook: str, **environ: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            command(home, *flags, playbook=playbook), cwd=ROOT,
            env=surroundings(home, TERM="xterm-256color", **environ),
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.seen = ""

    def until(self, text: str | None = None) -> str:
        """Read until a text is seen, or the end; return all that was seen."""
        ends = time.monotonic() + 60
        while (text is None or text not in self.seen) and time.monotonic() < ends:
            try:
                data = os.read(self.master, 4096) if select.select([self.master], [], [], 1)[0] else b"-"
            except OSError:
                break
            self.seen += "" if data == b"-" else data.decode(errors="replace")
        return self.seen

    def end(self) -> int:
        self.until()
        os.close(self.master)
        return self.process.wait(60)


def stays(seen: str) -> str:
    """What stays on a terminal whose last line was written anew again and again: no colours, no erased lines."""
    text = re.sub(r"\x1b\[[0-9;?]*[ml]|\x1b\[\?25h", "", seen.replace("\r\n", "\n"))
    return re.sub(r"[^\n]*(\r|\n\r\x1b\[1A)\x1b\[2K", "", text)
