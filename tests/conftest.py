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
