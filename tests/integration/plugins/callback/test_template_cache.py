# SPDX-License-Identifier: GPL-3.0-or-later
"""A template of Slipway's own is compiled once, and says the same; nobody else's text is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.playbook import surroundings, told_nothing
from support.release import ROOT

pytestmark = pytest.mark.once
SECRET = "hunter2-secret"
# Templates of two origins, as Ansible has them, where they can be compiled once and where that is seen.
SCRIPT = """\
import sys
from pathlib import Path
from ansible._internal._datatag._tags import Origin
from ansible._internal._templating._jinja_bits import AnsibleEnvironment
from ansible.errors import AnsibleError
from ansible.template import Templar, trust_as_template
from ansible_collections.slipway.deploy.plugins.callback.template_cache import install, own_places
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.code_store import CodeStore

parsed = []
parse = AnsibleEnvironment._parse
AnsibleEnvironment._parse = lambda self, source, *more: parsed.append(source) or parse(self, source, *more)
store = CodeStore(Path(sys.argv[1]))
store.open()
install(store, own_places())
place = {"own": own_places()[0] + "x.yml", "inventory": own_places()[0].replace("roles", "inventories") + "x.yml"}


def said(where, text, **variables):
    source = trust_as_template(Origin(path=place[where], line_num=1).tag(text))
    try:
        return Templar(variables=variables).template(source)
    except AnsibleError as error:
        return str(error)


"""


def ran(store: Path, script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + script, str(store)], cwd=ROOT,
        env=surroundings(store.parent, PYTHONPATH=str(ROOT / "collections")),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


TEXTS = r"""
texts = ["{{ a + 1 }}", "{{ a }} and {{ b | upper }}", "{% for each in c %}{{ each }};{% endfor %}", "{{ c }}",
         "{{ nowhere }}", "{{ a +", "{{ b | no_such_filter }}", "#jinja2: variable_start_string:'[['\n[[ a ]] {{ a }}",
         "{{ '\\\\n' }}", "{{ lookup('ansible.builtin.vars', 'a') }}", "{{ {'x': a}.x }}{{ '' if a else 1 }}"]
for text in texts:
    print(repr(said("own", text, a=41, b="bee", c=[1, "{{ a }}", {}])))
print(len(parsed))
"""


def test_it_says_the_same(tmp_path: Path) -> None:
    first, second = ran(tmp_path / "codes", TEXTS), ran(tmp_path / "codes", TEXTS)
    assert "42" in first
    assert "'nowhere' is undefined" in first
    assert first.splitlines()[:-1] == second.splitlines()[:-1]
    assert (int(first.splitlines()[-1]), int(second.splitlines()[-1])) == (11, 3)  # what is wrong, or has a header


def test_what_an_inventory_says_is_not_kept(tmp_path: Path) -> None:
    script = f"print(said('inventory', '{SECRET} {{{{ a }}}}', a=1), said('own', 'x {{{{ a }}}}', a=1))"
    assert ran(tmp_path / "codes", script) == f"{SECRET} 1 x 1\n"
    kept = (tmp_path / "codes").read_bytes()
    assert SECRET.encode() not in kept
    assert len(kept) > 200


def test_a_command_with_several_playbooks_has_one_store(tmp_path: Path) -> None:
    script = """
from ansible._internal._templating._engine import TemplateEngine
from ansible_collections.slipway.deploy.plugins.callback.template_cache import CallbackModule
callback = CallbackModule()
found = []
for _ in range(2):
    callback.v2_playbook_on_start(None)
    found.append(TemplateEngine._compile_template)
print(found[0] is found[1])
"""
    assert ran(tmp_path / "codes", script) == "True\n"


WRAPPED = """
from ansible._internal._templating import _lazy_containers as lazy
from ansible_collections.slipway.deploy.plugins.plugin_utils._run import wrapped_variables

made = []
plain = lazy._LazyValue
def count(value):
    made.append(value)
    return plain(value)
lazy._LazyValue = count
if "once" in sys.argv:
    wrapped_variables.install()
lazy._LazyValue = plain

many = {f"v{number}": number for number in range(200)}
many |= {"chain": trust_as_template("{{ link + 1 }}"), "link": trust_as_template("{{ v7 }}"), "box": {"x": []}}
templar = Templar(variables=many)
ask = trust_as_template("{{ chain }} {{ link }} {{ box.x }}")
said = []
said.append(templar.template(ask))
many["v7"] = 70
said.append(templar.template(ask))
many["box"]["x"].append(trust_as_template("{{ v8 }}"))
said.append(templar.template(ask))
many["link"] = trust_as_template("{{ v9 }}")
said.append(templar.template(ask))
said.append(Templar(variables={**many, "v9": "other", "chain": 1}).template(ask))
del many["v9"]
try:
    templar.template(ask)
except AnsibleError as error:
    said.append(str(error))
print(said)
print(len(made))
"""


def test_variables_are_wrapped_once_and_say_the_same(tmp_path: Path) -> None:
    anew, once = (ran(tmp_path / "codes", f"sys.argv.append('{how}')\n{WRAPPED}") for how in ("anew", "once"))
    assert "8 7 []" in anew
    assert "71 70 [8]" in anew
    assert anew.splitlines()[0] == once.splitlines()[0]
    assert (int(anew.splitlines()[1]), int(once.splitlines()[1])) == (0, 4 * 203 + 202)


def play(home: Path) -> str:
    done = told_nothing(home, "playbooks/status")
    assert done.returncode, done.stdout
    return done.stdout


def test_a_run_leaves_it_for_the_next_and_is_the_same_without(tmp_path: Path) -> None:
    first = play(tmp_path)
    assert "app_name" in first, first
    [codes] = (tmp_path / ".ansible/slipway/templates").glob("*/codes")
    kept = codes.read_bytes()
    assert len(kept) > 10_000
    assert play(tmp_path).splitlines()[1:] == first.splitlines()[1:]
    assert codes.read_bytes() == kept
    codes.write_bytes(kept[:5000])
    assert play(tmp_path).splitlines()[1:] == first.splitlines()[1:]
    codes.parent.chmod(0o777)
    assert play(tmp_path).splitlines()[1:] == first.splitlines()[1:]
