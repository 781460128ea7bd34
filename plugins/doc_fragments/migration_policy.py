# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the rules that the modules for migrations share."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  policy:
    description: What to do with what is out of the ordinary. V(deny) stops the run before anything is written.
    type: dict
    suboptions:
      edited:
        description: A file is not what was applied. V(deny) unless told otherwise.
        type: str
        choices: [allow, warn, deny]
      edited_whitespace:
        description: A file differs from what was applied in white space at the ends of lines or of the file only.
          V(deny) unless told otherwise.
        type: str
        choices: [allow, warn, deny]
      missing:
        description: An applied migration has no file. V(deny) unless told otherwise.
        type: str
        choices: [allow, warn, deny]
      ahead:
        description: All the applied migrations without a file are newer than the files, as when an older release is
          deployed. V(deny) unless told otherwise.
        type: str
        choices: [allow, warn, deny]
      out_of_order:
        description: A pending migration comes before one that is applied. V(warn) unless told otherwise.
        type: str
        choices: [allow, warn, deny]
      destructive:
        description: A pending migration drops a table, column or schema that exists, empties a table, or gives a column
          a type for which the table is rewritten. V(warn) unless told otherwise.
        type: str
        choices: [allow, warn, deny]
      lint:
        description: >-
          The linter squawk finds something in a pending migration that matters to this database, such as a lock on a
          table of more than 10 MiB that stops its readers or writers. A comment C(-- slipway: allow RULE: REASON)
          before the statement waives it there. V(warn) unless told otherwise; V(allow) does without squawk.
        type: str
        choices: [allow, warn, deny]
  waivers:
    description:
      - Exceptions from O(policy) for single migrations.
      - One that lets a denied migration pass is kept in the table C(slipway.migration_decisions).
    type: list
    elements: dict
    default: []
    suboptions:
      migration:
        description: Name of the migration.
        type: str
        required: true
      rule:
        description: The rule that need not hold.
        type: str
        required: true
        choices: [edited, edited_whitespace, missing, ahead, out_of_order, destructive, lint]
      reason:
        description: Why.
        type: str
        required: true
      author:
        description: Who says so.
        type: str
        required: true
"""
