"""What all tests share: where the real imagery lies, if it does."""

import signal
from pathlib import Path

import hypothesis
import pytest

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # started in the background of a shell: processes that tests start would inherit it and never be interrupted
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data beside the repository; tests that need it are skipped where it is absent."""
    folder = Path(__file__).parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the shared data beside the repository")
    return folder


@pytest.fixture(scope="session")
def dev_data(shared: Path) -> Path:
    """Real rasters with truth, to test on and never to train on."""
    folder = shared / "data" / "dev"
    if not folder.is_dir():
        pytest.skip("needs the development data beside the repository")
    return folder


# a shared machine is slow now and then, and tests never assert times; 25 examples of each law keep CI under 20 minutes
hypothesis.settings.register_profile("geosam", deadline=None, max_examples=25)
hypothesis.settings.load_profile("geosam")

SHAPED = {"nano", "sam", "adapters"} | {
    f"test_{name}.py"
    for name in (
        "embeddings",
        "features",
        "instances",
        "masks",
        "masks_answers",
        "masks_judging",
        "polygons",
        "prompts",
        "prompts_windows",
        "recognition",
        "recognition_kinds",
        "recognition_scenes",
        "regions",
        "scene",
        "scene_grid",
        "store",
        "windows",
    )
}
"""Folders and files whose tests, as the examples in the package, run under the shape checker, which doubles their time:
those of the floors where arrays are made and handed on. ``make cover`` has it on for all."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs under the shape checker in ``make test``."""
    here = Path(__file__).parent
    for item in items:
        inside = item.path.is_relative_to(here)
        if not inside or item.path.relative_to(here).parts[0] in SHAPED:
            item.add_marker("shaped")
