"""No table of the platform is overlooked: each is read by a report, or `db tables` says why not."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

import sqlalchemy as sa

from avatarlab_cli import actions, queries, rollup
from avatarlab_cli.database import Database
from avatarlab_cli.schema.reference import platform_tables
from tests.database.watching import cases, columns_read

TABLES = frozenset(table for table in platform_tables() if table.schema is None)
# What is read of all tables alike shows nothing of any one's use.
OF_ALL_TABLES = {"avatarlab_cli.queries.tables", "avatarlab_cli.queries.schema"}


def _modules() -> Iterator[ModuleType]:
    for package in (queries, rollup, actions):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if module.name not in OF_ALL_TABLES:
                yield importlib.import_module(module.name)


def _named(module: ModuleType) -> Iterator[sa.Table]:
    """Yield the tables a module imports, those it takes from a module of the schema, and those in its SQL."""
    by_name = {table.name: table for table in TABLES}
    yield from (value for value in vars(module).values() if isinstance(value, sa.Table))
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found = getattr(vars(module).get(node.value.id), node.attr, None)
            if isinstance(found, sa.Table):
                yield found
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (
                by_name[name] for name in re.findall(r"\bpublic\.(\w+)", node.value) if name in by_name
            )


def test_every_table_is_read_or_said_to_be_unused(migrated: Database) -> None:
    """What no report, job or act reads is marked as unused, with the reason."""
    read = {table for module in _modules() for table in _named(module)}
    with migrated.read() as connection:
        for case in cases():
            read |= columns_read(case.build(connection)).keys()
    unread = {table.name: table.info["used_for"] for table in TABLES - read}
    assert {name for name, use in unread.items() if not re.match(r"unused by the app: \S", use)} == set()
