"""The error tree holds together and every error survives the way between processes."""

import inspect
import pickle

import pytest

from geosam import errors

LEAVES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind is not errors.GeosamError]


@pytest.mark.parametrize("kind", LEAVES)
def test_every_error_is_a_geosam_error_and_a_builtin_one(kind):
    assert issubclass(kind, errors.GeosamError)
    assert issubclass(kind, ValueError | OSError)


@pytest.mark.parametrize("kind", [errors.GeosamError, *LEAVES])
def test_errors_survive_pickling_with_their_message(kind):
    error = kind("a", expected="b", hint="c")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error) == "a: expected b; c"
