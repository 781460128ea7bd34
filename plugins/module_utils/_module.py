# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge between the core and Ansible: errors of the core become failed tasks in this one place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, MutableMapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, sentence
from ansible_collections.slipway.deploy.plugins.module_utils._host.masking import of_environment
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.interruption import Interrupted, interruptible
from ansible_collections.slipway.deploy.plugins.module_utils._run import progress
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import fenced


def forget_caller(environment: MutableMapping[str, str]) -> None:
    """Take out of ``environment`` what would change by accident how a server is reached, or what programs say.

    libpq and PostgreSQL's programs take each variable PG… for a default (manual section 34.15): Slipway says all of it
    itself. Messages that are read are English ones.
    """
    for name in [name for name in environment if name.startswith(("PG", "LC_", "LANG"))]:
        del environment[name]
    environment["LC_ALL"] = "C.UTF-8"


def run(module: AnsibleModule, work: Callable[[AnsibleModule], dict[str, Any]], *, bookkeeping: bool = False) -> None:
    """Run ``work`` and exit with the result that it returns, or fail with the one sentence that it raises.

    Only while the run is in charge of the host; ``bookkeeping`` is about the runs themselves and always allowed.
    A signal that tells it to stop, or the loss of whoever reads the result, ends it at once and in order.
    """
    forget_caller(os.environ)
    with interruptible():
        try:
            try:
                asked = os.environ.pop(progress.VARIABLE, "")
                with fenced(exempt=bookkeeping or module.check_mode), progress.written_to(asked):
                    result = work(module)
            except SlipwayError as error:
                module.fail_json(msg=str(error), **error.details)
            except OSError as error:  # what no module expected: a disk that is full or read-only, a missing right
                module.fail_json(msg=sentence(error))
            module.exit_json(**result)
        except Interrupted as stop:
            module.log(str(stop))  # there may be nobody who reads the result
            with contextlib.suppress(OSError):
                module.fail_json(msg=str(stop), **stop.details)
            os._exit(1)  # at its end, Python would complain of the output that it can't write


def take_environment(module: AnsibleModule, name: str = "env") -> tuple[dict[str, str], frozenset[str]]:
    """The environment for a command from a parameter with no_log, and the secrets in it.

    Ansible would mask every value in the result, so that a setting of "1" spoils each sentence with a 1 in it. Instead
    the parameter leaves the result as a whole, and the secrets alone are masked.
    """
    environment = {key: str(value) for key, value in module.params[name].items()}
    module.params[name] = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    secrets = of_environment(environment)
    module.no_log_values = set(secrets)
    return environment, secrets
