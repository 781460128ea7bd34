# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible makes of Slipway's templates, and of variables, before it evaluates them, kept for the next time."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
from ansible import constants as C
from ansible.plugins.callback import CallbackBase
from ansible.release import __version__ as ANSIBLE
from ansible_collections.slipway.deploy.plugins.plugin_utils._run import wrapped_variables
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.code_store import CodeStore
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.own_directory import own_directory

DOCUMENTATION = r"""
name: template_cache
type: aggregate
short_description: What Ansible makes of Slipway's templates before it evaluates them, kept for the next time
version_added: 0.1.0
author: The Slipway contributors
description:
  - Ansible compiles a template or an expression each time that it needs its value, in the process of each task anew. A
    deploy with nothing to do compiles some 2,300, of which 700 differ. This keeps the code of those that are in the
    roles and playbooks of C(slipway.deploy), and of no others, since others may have secrets in them.
  - It wraps all variables, some thousand, for each template and for each variable's own value anew. This has it wrap
    them once in the process of a task, as long as they are the same. What a variable's value was is not kept.
  - The code is kept below C(slipway/templates) in E(ANSIBLE_HOME), in a directory named by the versions of Ansible,
    Jinja and Python, and found by the whole text of a template, so that what has changed is compiled anew.
  - A directory that belongs to somebody else, or that others may write to, is not used. With another version of Ansible
    that does all this otherwise, or whatever else goes wrong, the run is as it would be without.
requirements:
  - named in C(callbacks_enabled) in the configuration
"""

HEADER = "#jinja2:"  # with which a template has settings of its own


class CallbackModule(CallbackBase):
    """Has Ansible look for compiled templates in the store, and the store see what was compiled by other processes."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "slipway.deploy.template_cache"
    CALLBACK_NEEDS_ENABLED = True

    store: CodeStore | None = None

    def v2_playbook_on_start(self, playbook: Any) -> None:
        if self.store is not None:  # of the playbook before, where a command names several
            return
        try:
            directory = own_directory(Path(C.ANSIBLE_HOME), "templates", versions())
            store = CodeStore(directory / "codes")
            store.open()
            install(store, own_places())
            self.store = store
            wrapped_variables.install()
        except (OSError, ImportError, AttributeError) as error:
            self._display.vv(f"template_cache: {error}")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        if self.store is not None:
            with contextlib.suppress(OSError):
                self.store.refresh()


def versions() -> str:
    """Digest of all that compiles a template, and of the settings that count there."""
    settings = (C.config.get_config_value(name) for name in ("DEFAULT_JINJA2_EXTENSIONS", "ALLOW_EMBEDDED_TEMPLATES"))
    parts = (ANSIBLE, C.__file__, jinja2.__version__, sys.version, *map(str, settings))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def own_places() -> tuple[str, ...]:
    """Where Slipway's own templates are, as Ansible may name it; not what an inventory in the same place says."""
    here = Path(__file__)
    roots = {here.parents[2], here.resolve().parents[2]}
    return tuple(f"{root}/{name}/" for root in roots for name in ("roles", "playbooks"))


def install(store: CodeStore, places: tuple[str, ...]) -> None:
    """Have this process, and those that it starts, compile a template in one of the ``places`` once.

    Raises ImportError or AttributeError where Ansible compiles otherwise than it does in 2.19.
    """
    from ansible._internal._datatag._tags import Origin
    from ansible._internal._templating._engine import TemplateEngine, TemplateOverrides
    from ansible._internal._templating._jinja_bits import AnsibleEnvironment, AnsibleTemplateExpression
    from jinja2.environment import TemplateExpression

    compile_code = AnsibleEnvironment._compile
    compilers = (TemplateEngine._compile_template, TemplateEngine._compile_expression)
    if any(compiler.__code__.co_argcount != 3 for compiler in compilers):
        raise AttributeError("Ansible compiles by other arguments")
    compiled: list[CodeType] = []

    def note(environment: Any, source: str, filename: str) -> CodeType:
        compiled.append(compile_code(environment, source, filename))
        return compiled[-1]

    def template(environment: Any, code: CodeType) -> Any:
        return environment.template_class.from_code(environment, code, environment.make_globals(None), None)

    def expression(environment: Any, code: CodeType) -> Any:
        return AnsibleTemplateExpression(TemplateExpression(template(environment, code), False))

    def once(anew: Callable[..., Any], again: Callable[[Any, CodeType], Any]) -> Callable[..., Any]:
        def compiles(engine: Any, source: str, options: Any) -> Any:
            origin = Origin.get_tag(source)
            mine = origin and origin.path and str(origin.path).startswith(places)
            if not mine or options.overrides is not TemplateOverrides.DEFAULT or source.startswith(HEADER):
                return anew(engine, source, options)
            kind = f"{again.__name__} {options.escape_backslashes} "
            key = hashlib.sha256(f"{kind}{source}".encode()).digest()
            if code := store.get(key):
                return again(engine.environment, code)
            compiled.clear()
            found = anew(engine, source, options)
            if len(compiled) == 1:  # it had no error
                with contextlib.suppress(OSError):
                    store.put(key, compiled[0])
            return found

        return compiles

    AnsibleEnvironment._compile = note
    TemplateEngine._compile_template = once(compilers[0], template)
    TemplateEngine._compile_expression = once(compilers[1], expression)
