"""The settings that a task has, read from its source: importing it would import torch."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from hotstart.config import nearest
from hotstart.errors import UsageError
from hotstart.pretext.registry import JOIN, TASKS, parts

PACKAGE = "hotstart"


def check_setting(task: str, key: str) -> None:
    """Raise UsageError where `task` surely has no setting `key`."""
    names = setting_names(task)
    if names is not None and key not in names:
        told = nearest(key, names) if names else "it has none"
        raise UsageError(f"{task} has no setting {key!r}; {told}")


def check_asked(name: str, task: str) -> None:
    """Raise UsageError unless settings of `name` mean something to a run of `task`."""
    if name not in parts(task):
        these = "task is" if JOIN not in task else "tasks are"
        raise UsageError(f"--set {name}.…: this run's {these} {', '.join(map(repr, parts(task)))}")


def setting_names(task: str) -> list[str] | None:
    """Names of the settings of `task`; None where the source does not tell (a third party's)."""
    if task not in TASKS:
        return None
    module, _, attribute = TASKS[task].path.partition(":")
    own = _classes(module).get(attribute)
    for node in own.body if own is not None else []:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "Settings":
            return _fields(module, ast.unparse(node.value)) if node.value is not None else None
    return None


def _fields(module: str, name: str) -> list[str] | None:
    """Annotated names in the body of a class and of its bases, the bases' first."""
    own = _classes(module).get(name)
    if own is None:
        module = _imports(module).get(name, "")
        if not module.startswith(PACKAGE):
            return None
        return [] if name == "Settings" else _fields(module, name)
    names: list[str] = []
    for base in own.bases:
        inherited = _fields(module, ast.unparse(base))
        if inherited is None:
            return None
        names += inherited
    fields = [n.target for n in own.body if isinstance(n, ast.AnnAssign)]
    names += [field.id for field in fields if isinstance(field, ast.Name)]
    return list(dict.fromkeys(names))


@cache
def _body(module: str) -> list[ast.stmt]:
    parts = module.split(".")[1:]
    path = Path(__file__).parents[1].joinpath(*parts).with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else []


def _classes(module: str) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in _body(module) if isinstance(node, ast.ClassDef)}


def _imports(module: str) -> dict[str, str]:
    """Name -> the module that it is imported from."""
    found = [node for node in _body(module) if isinstance(node, ast.ImportFrom) and node.module]
    return {alias.name: str(node.module) for node in found for alias in node.names}
