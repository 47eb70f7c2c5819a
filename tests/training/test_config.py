"""The file of a training run: what it may hold, and what is said of all else."""

import shutil
from importlib import resources
from pathlib import Path

import pytest

from geosam.errors import OptionError
from geosam.training.config import config_from_dict, read_config


@pytest.fixture
def config(tmp_path) -> Path:
    for name in ("nano.toml", "nano-start.toml"):
        shutil.copy(Path(str(resources.files("geosam.training") / name)), tmp_path)
    return tmp_path / "nano.toml"


def test_unknown_and_missing_options_are_named():
    with pytest.raises(OptionError, match=r"unknown.*sped"):
        config_from_dict({"name": "x", "sped": 1})
    with pytest.raises(OptionError, match=r"nowhere.toml does not exist: expected a TOML file"):
        read_config("nowhere.toml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("batch = 12", "batch = 1.5", r"data.batch=1.5: expected a whole number"),
        ("batch = 12", "batch = true", r"data.batch=True"),
        ("batch = 12", "bach = 12", r"\[data\]: missing batch; unknown bach"),
        ("rate = 6.0e-4", "rate = nan", r"optimiser.rate=nan: expected a number above 0"),
        ("rate = 6.0e-4", "rate = -1", r"optimiser.rate=-1"),
        ("warm_up = 100", "warm_up = 0", r"optimiser.warm_up=0"),
        ("sides = [256, 256, 256, 512]", "sides = [250]", r"data.sides=\(250,\): .*multiple of 32"),
        ("kinds = [0.5, 0.32, 0.18]", "kinds = [0, 0, 0]", r"data.kinds"),
        ("object_px = [40.0, 200.0]", "object_px = [40.0, 2.0]", r"object_px=\[40.0, 2.0\]: expected the least"),
        ("seed = 2", 'seed = "two"', r"seed='two'"),
        ("width = 128", "width = 1000000000", r"width=1000000000: expected a multiple of 8"),
        ("heads = 4", "heads = 3", r"decoder_sizes.heads=3: expected a divisor"),
        ("[optimiser]", "[optimizer]", r"unknown optimizer"),
        ("[optimiser]\n", "[other]\n", r"missing optimiser|unknown other"),
        ('name = "nano"', "name = 1", r"name=1: expected printable text"),
        ('start = "nano-start.toml"', 'start = "nano.toml"', r"start='nano.toml': expected a run that"),
        ('start = "nano-start.toml"', "start = 5", r"start=5"),
        ('start = "nano-start.toml"', 'start = "absent.toml"', r"absent.toml does not exist"),
        ('name = "nano"', "name = ", r"readable TOML"),
        ('name = "nano"', "name = " + "[" * 5000, r"readable TOML"),
    ],
)
def test_a_wrong_value_is_named_with_its_file_and_what_it_may_be(config, old, new, said):
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new, 1))
    with pytest.raises(OptionError, match=said) as raised:
        read_config(config)
    assert "config" in str(raised.value)
    assert str(config) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_file_that_a_run_starts_from_is_the_one_that_is_named(config):
    start = config.with_name("nano-start.toml")
    start.write_text(start.read_text().replace("clip = 1.0", "clip = 0"))
    with pytest.raises(OptionError, match=r"config '.*nano-start.toml': optimiser.clip=0: expected a number above 0"):
        read_config(config)


@pytest.mark.parametrize("content", [b'name = "\xff\xfe"', "name = 'x'".encode("utf-16"), b"\x00", b"\x1b[31m"])
def test_a_file_that_is_no_text_is_refused_in_one_line(config, content):
    config.write_bytes(content)
    with pytest.raises(OptionError, match="readable TOML") as raised:
        read_config(config)
    assert str(raised.value).isprintable()


def test_a_folder_is_no_configuration(tmp_path):
    with pytest.raises(OptionError, match="readable TOML"):
        read_config(tmp_path)
