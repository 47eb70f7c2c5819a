import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosam.display import printable, shown, without_secrets
from geosam.errors import GeosamError, SceneError

SECRET = "s3cr3tV4lue"


@pytest.mark.parametrize(
    "address",
    [
        f"https://host/a.tif?sig={SECRET}",
        f"https://host/a.tif?st=2024&se=2025&sp=r&sv=2022&sr=b&sig={SECRET}%2F%3D",
        f"https://host/a.tif?X-Amz-Signature={SECRET}&X-Amz-Credential={SECRET}",
        f"https://me:{SECRET}@host/a.tif",
        f"https://{SECRET}@host/a.tif",
        f"https://me:p@{SECRET}@host/a.tif",
        f"https://host/a.tif#access_token={SECRET}",
        f"https://host/a.tif?{SECRET}",
        f"https://host/a.tif;key={SECRET}?a=1;b={SECRET}",
        f"/vsicurl/https://host/a.tif?token={SECRET}",
        f"/vsicurl?header.Authorization=Bearer%20{SECRET}&url=https://host/a.tif",
        f"/vsicurl?url=https%3A%2F%2Fhost%2Fa.tif%3Fsig%3D{SECRET}",
        f"zip+https://host/a.zip?sig={SECRET}!a.tif",
        f"PG:host=db user=me password={SECRET} dbname=maps",
        f"PG:host=db password='{SECRET}'",
        f"WMS:https://host/wms?apikey={SECRET}&layers=a",
    ],
)
def test_an_address_keeps_no_secret(address):
    said = f"{address} cannot be opened (HTTP 403: {address})"
    assert SECRET not in without_secrets(address)
    assert SECRET not in without_secrets(said)
    assert SECRET not in str(SceneError(said, expected=address, hint=address))


def test_what_is_no_secret_stays():
    for text in (
        "https://host/path/a.tif",
        "s3://bucket/a b.tif",
        "https://host/wms?service=WMS&layers=roads&crs=EPSG:4326",
        "a?b.tif",
        "C:/maps/a.tif",
        "--prompts-crs EPSG:4326",
        "label 'x': expected 1 or 0; see a.tif",
    ):
        assert without_secrets(text) == text


@given(st.text())
def test_what_is_shown_has_no_sign_that_a_terminal_obeys(text):
    said = shown(text)
    assert all(ord(sign) >= 32 and not 127 <= ord(sign) < 160 for sign in said)
    said.encode()
    assert shown(said) == said


def test_escapes_and_turned_directions_are_spelled_out():
    assert printable("a\x1b]0;evil\x07b\u202egnp.exe\n") == "a\\x1b]0;evil\\x07b\\u202egnp.exe\\x0a"
    assert printable("caf\udce9.tif") == "caf\\udce9.tif"
    assert str(GeosamError("a\x1b[2J.tif", hint="\x9b31m")) == "a\\x1b[2J.tif: \\x9b31m"
