"""Options for prompts on the command line: those that messages name are there, and mean what they say."""

import re

import pytest
import typer

from geosam.cli import app
from geosam.cli.options import prompt_names
from geosam.cli.segment import read_prompts
from geosam.errors import OptionError
from geosam.prompts.placement import NAME_IT
from geosam.vectors import AREA, PROMPTS


def options_of(*names: str) -> set[str]:
    command = typer.main.get_command(app)
    for name in names:
        command = command.commands[name]  # pyright: ignore[reportAttributeAccessIssue]  # a group's
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("command", [("segment",), ("plan",), ("catalog", "run")])
def test_options_that_hints_name_exist_where_prompts_are_read(command):
    hints = " ".join((PROMPTS.layer, PROMPTS.crs, NAME_IT, "--label-column none"))
    assert set(re.findall(r"--[a-z-]+", hints)) <= options_of(*command)


@pytest.mark.parametrize("command", [("segment",), ("plan",), ("encode",), ("catalog", "run"), ("catalog", "encode")])
def test_options_that_hints_name_exist_where_areas_are_read(command):
    assert set(re.findall(r"--[a-z-]+", AREA.layer + AREA.crs)) <= options_of(*command)


def test_none_is_a_label_column_and_nothing_is_what_python_takes():
    assert prompt_names(None, None, None, None) == {}
    assert prompt_names("a", None, "g", "None") == {"layer": "a", "group_column": "g", "label_column": None}


def test_options_without_the_file_that_has_them_are_refused_by_their_names():
    for path, message in ((None, "--label-column, --prompts-layer without"), ("a.tif", "with a raster of masks")):
        with pytest.raises(OptionError, match=message):
            read_prompts(None, path, how={"label_column": None, "layer": "a"})
