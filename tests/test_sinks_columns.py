"""Columns of every kind come back from every format with the values that went in."""

import json
import logging
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geosam import sinks
from geosam.sinks.columns import to_json

BERLIN = ZoneInfo("Europe/Berlin")


def write(path: Path, **columns: Any) -> Path:
    """A layer with a row for each value of the columns, numbered."""
    count = len(next(iter(columns.values())))
    boxes = shapely.box(np.arange(count) * 2e-3, 0, np.arange(count) * 2e-3 + 1e-3, 1e-3)
    parts = [pd.Series(np.arange(count)), *(pd.Series(column) for column in columns.values())]
    table = pd.concat(parts, axis=1).set_axis(pd.Index(["row", *columns], dtype=object), axis=1)
    return sinks.write(gpd.GeoDataFrame(table, geometry=boxes, crs="EPSG:4326"), path)


def values(path: Path, name: str) -> list[Any]:
    """The values of a column as the file has them, without what pandas makes of gaps."""
    if path.suffix == ".parquet":
        return pq.read_table(path)[name].to_pylist()
    if path.suffix == ".geojson":
        return [each["properties"][name] for each in json.loads(path.read_text())["features"]]
    info = pyogrio.read_info(path, layer=path.stem)
    if dict(zip(info["fields"], info["dtypes"], strict=True))[name].startswith("datetime64[ms"):
        return sinks.read_layer(path).sort_values("row")[name].tolist()  # Arrow's come without zones
    table = pyogrio.read_arrow(path, layer=path.stem, columns=["row", name])[1]
    return table.sort_by("row")[name].to_pylist()


suffixes = pytest.mark.parametrize("suffix", sinks.POLYGON_FORMATS)


@suffixes
def test_whole_numbers_with_gaps_stay_whole_numbers(tmp_path: Path, suffix: str):
    exact = 631210968840000017
    path = write(
        tmp_path / f"a{suffix}",
        nullable=pd.array([exact, None], dtype="Int64"),
        objects=pd.Series([exact, None], dtype=object),
        unsigned=np.array([exact, 1], np.uint64),
        beyond=pd.array([2**64 - 1, None], dtype="UInt64"),
        mixed=pd.Series([exact, 0.5], dtype=object),
        maybe=pd.array([True, None], dtype="boolean"),
        kind=pd.Categorical([exact, None]),
        money=pd.Series([Decimal("1.10"), None], dtype=object),
        long=pd.Series([Decimal("12345678901234567890.5"), None], dtype=object),
    )
    assert values(path, "nullable") == values(path, "objects") == values(path, "kind") == [exact, None]
    assert values(path, "unsigned") == [exact, 1]
    assert values(path, "beyond") == [str(2**64 - 1), None]
    assert values(path, "mixed") == [str(exact), "0.5"]
    assert values(path, "maybe") == [True, None]
    assert values(path, "money") == [1.1, None]
    assert values(path, "long") == ["12345678901234567890.5", None]


@suffixes
def test_a_whole_number_is_exact_though_other_frames_have_real_ones(tmp_path: Path, suffix: str):
    boxes = shapely.box([0.0], [0.0], [1e-3], [1e-3])
    parts = [pd.Series([2**60 + 1]), pd.Series([0.5])]
    for frames in (parts, parts[::-1]):
        layer = [gpd.GeoDataFrame({"row": [i], "v": v}, geometry=boxes, crs=4326) for i, v in enumerate(frames)]
        path = sinks.write(layer, tmp_path / f"a{suffix}")
        assert sorted(values(path, "v")) == ["0.5", str(2**60 + 1)]


@suffixes
@pytest.mark.parametrize(
    "zones", [(BERLIN, BERLIN), (BERLIN, ZoneInfo("Asia/Kathmandu")), (timezone(timedelta(hours=-3)), UTC)]
)
def test_a_moment_is_the_same_moment_whatever_its_zone(tmp_path: Path, suffix: str, zones: tuple[Any, Any]):
    moments = [datetime(2024, 6, 1, 0, 30, tzinfo=zones[0]), datetime(2038, 1, 19, 3, 14, 8, 7000, tzinfo=zones[1])]
    path = write(tmp_path / f"a{suffix}", seen=pd.Series([*moments, None], dtype=object))
    back = [pd.Timestamp(value) for value in values(path, "seen")]
    assert [None if pd.isna(value) else value.to_pydatetime() for value in back] == [*moments, None]
    assert back[0].tzinfo is not None


@suffixes
def test_times_without_a_zone_stay_without_and_beside_others_are_text(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
):
    path = write(
        tmp_path / f"a{suffix}",
        plain=pd.to_datetime(["2024-06-01 00:30:00.123456", None]),
        both=pd.Series([datetime(2024, 6, 1, tzinfo=BERLIN), datetime(2024, 6, 1)], dtype=object),
        day=pd.Series([date(1850, 2, 28), None], dtype=object),
        span=pd.to_timedelta(["1D 2h", None]),
    )
    plain = pd.Timestamp(values(path, "plain")[0])
    loses = suffix in (".gpkg", ".fgb")
    assert plain == pd.Timestamp(f"2024-06-01 00:30:00.123{'' if loses else '456'}")
    assert ("millisecond" in caplog.text) == loses
    assert values(path, "both") == ["2024-06-01 00:00:00+02:00", "2024-06-01 00:00:00"]
    assert str(values(path, "day")[0]).startswith("1850-02-28")
    assert values(path, "span") == ["1 days 02:00:00", None]


@suffixes
def test_what_no_format_holds_is_spelled_out(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture):
    name = "a\udcff\0"
    path = write(
        tmp_path / f"a{suffix}",
        text=pd.Series(["a\0b", "\udcff", "\U0001f642"], dtype=object),
        nested=pd.Series([{1: float("nan"), "k": ("\udcff", {2})}, [np.float32(0.5), b"\0"], None], dtype=object),
        **{name: [1, 2, 3], "n" * 1000: [1, 2, 3]},
    )
    assert values(path, "text") == ["a\\x00b", "\\udcff", "\U0001f642"]
    assert [json.loads(one) for one in values(path, "nested")[:2]] == [
        {"1": None, "k": ["\\udcff", ["2"]]},
        [0.5, "00"],
    ]
    assert values(path, "a\\udcff\\x00") == values(path, "n" * 1000) == [1, 2, 3]
    assert "\\udcff" in caplog.text


@suffixes
def test_two_columns_of_one_label_are_two_columns(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.ERROR)
    table = pd.DataFrame([[0, 1, 2, 3]], columns=["row", "a", "a", "A"])
    frame = gpd.GeoDataFrame(table, geometry=[shapely.box(0, 0, 1e-3, 1e-3)], crs=4326)
    path = sinks.write(frame, tmp_path / f"a{suffix}")
    assert [values(path, name) for name in ("a", "a_1", "A_2")] == [[1], [2], [3]]


@suffixes
def test_metadata_is_json_whatever_it_holds(tmp_path: Path, suffix: str):
    frame = gpd.GeoDataFrame({"row": [0]}, geometry=[shapely.box(0, 0, 1e-3, 1e-3)], crs=4326)
    asked = {"nan": float("nan"), "most": np.inf, "n": np.int64(3), "file": Path("a"), "name": "\udcff", 5: (1,)}
    path = sinks.write(frame, tmp_path / f"a{suffix}", metadata=asked)
    expected = {"nan": None, "most": None, "n": 3, "file": "a", "name": "\\udcff", "5": [1]}
    assert sinks.read_metadata(path) == expected == json.loads(to_json(asked))


kinds = st.sampled_from(["integer", "real", "text", "moment", "truth"])
cells = {
    "integer": st.none() | st.integers(-(2**63), 2**63 - 1),
    "real": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "text": st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    "moment": st.none()
    | st.builds(
        lambda moment, zone: moment.replace(microsecond=moment.microsecond // 1000 * 1000).astimezone(zone),
        st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
        st.sampled_from([UTC, BERLIN]),
    ),
    "truth": st.none() | st.booleans(),
}


@given(data=st.data(), suffix=st.sampled_from(sinks.POLYGON_FORMATS), kind=kinds)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_column_comes_back(tmp_path: Path, data: st.DataObject, suffix: str, kind: str):
    column = data.draw(st.lists(cells[kind], min_size=1, max_size=5))
    back = values(write(tmp_path / f"a{suffix}", v=pd.Series(column, dtype=object)), "v")
    if kind == "moment":
        back = [None if pd.isna(value) else pd.Timestamp(value).tz_convert("UTC").to_pydatetime() for value in back]
        column = [None if value is None else value.astimezone(UTC) for value in column]
    assert back == column
