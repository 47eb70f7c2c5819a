"""Messages name options and parameters that exist."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import geosam
from geosam.cli import app
from geosam.cli.log import GDAL, log_handler

PACKAGE = Path(geosam.__file__).parent

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")

FOREIGN = {"--no-deps"}
"""Options of other programs that messages may name."""


def commands() -> list[Callable[..., Any]]:
    groups = [app, *(group.typer_instance for group in app.registered_groups)]
    return [each.callback for group in groups for each in group.registered_commands if each.callback]


def options(command: Callable[..., Any]) -> set[str]:
    """All words of a command's options."""
    found = {"--help", "--version", "--verbose"}
    for name, hint in get_type_hints(command, include_extras=True).items():
        plain = f"--{name.replace('_', '-')}"
        infos = getattr(hint, "__metadata__", ())
        told = [word for each in infos for word in (each.default, *(each.param_decls or ()))]
        words = [word for each in told if isinstance(each, str) for word in each.split("/")]
        found |= {word for word in words if word.startswith("--")} or {plain, f"--no-{plain[2:]}"}
    return found


def texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """Literals of a module, also the parts of f-strings, but for docstrings."""
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node


def own_options(tree: ast.AST) -> set[str]:
    """Options of a module that has a command line of its own, such as the scripts that make weights."""
    added = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "attr", "") == "add_argument"]
    return {word.value for call in added for word in call.args if isinstance(word, ast.Constant)}


def test_every_option_that_a_message_names_exists_where_its_reader_stands():
    """In a command's own module it must be that command's; elsewhere that of any."""
    known = {command: options(command) for command in commands()}
    anywhere = set().union(*known.values())
    absent = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        own = [there for command, there in known.items() if command.__module__ == module]
        there = set().union(*own) if own else anywhere
        tree = ast.parse(path.read_text())
        there = there | own_options(tree)
        for node in texts(tree):
            wrong = set(OPTION.findall(node.value)) - there - FOREIGN
            absent += [f"{path.relative_to(PACKAGE)}:{node.lineno}: {word}" for word in sorted(wrong)]
    assert not absent, "\n".join(absent)


def test_a_message_that_names_an_option_and_a_parameter_names_one_that_exists():
    trees = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    known = {node.arg for node in nodes if isinstance(node, ast.arg)}
    known |= {n.target.id for n in nodes if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    named = [
        (path.name, name)
        for path, tree in trees.items()
        for node in texts(tree)
        if OPTION.search(node.value)
        for name in re.findall(r"(?<![\w-])([a-z]\w*)=(?=[\w'\"\[(])", node.value)
    ]
    assert len(named) > 1
    assert not [each for each in named if each[1] not in known]


def test_what_other_libraries_log_does_not_reach_the_terminal():
    import logging

    handler = log_handler(verbose=False)

    def shown(name: str, message: str) -> str | None:
        record = logging.LogRecord(name, logging.WARNING, "", 1, message, None, None)
        return handler.format(record) if handler.filter(record) else None

    assert shown("geosam.scene", "a\x1b[31m\nb") == r"WARNING geosam.scene: a\x1b[31m b"
    assert shown("geosam.scene", "https://me:pw@host/a.tif") == "WARNING geosam.scene: https://***@host/a.tif"
    assert shown(GDAL, "CPLE_AppDefined in a.tif: tags ignored") == "WARNING GDAL: a.tif: tags ignored"
    assert shown(GDAL, "CPLE_AppDefined in a.tif: tags ignored") is None
    warned = "/lib/pyogrio/raw.py:200: RuntimeWarning: Non closed ring\n  return ogr_read("
    assert shown("py.warnings", warned) == "WARNING GDAL: Non closed ring"
    assert shown("py.warnings", warned) is None
    for other in ("py.warnings", "rasterio._err", "distributed.worker", "asyncio", "geosam.prompts", "geosamples"):
        assert shown(other, "something") is None
    assert log_handler(verbose=True).filter(logging.makeLogRecord({"name": "asyncio"}))
