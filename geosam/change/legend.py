"""Colours of what a comparison tells, the same in QGIS, on the situation map and on the swipe page."""

STATUS_COLOURS = {
    "kept": "1a9641",
    "changed": "fdae61",
    "gone": "d7191c",
    "new": "2c7bb6",
    "unseen": "9e9e9e",
}
"""Green to red for what is there less and less, blue for what is new, grey for what nobody saw; told apart by
lightness too."""

EXTENT_COLOURS = {
    "flood": "2b83ba",
    "landslide": "a6611a",
    "vegetation lost": "a6611a",
    "burn": "7b3294",
    "low severity": "fff70b",
    "moderate-low severity": "ffaf38",
    "moderate-high severity": "ff641b",
    "high severity": "a41fd6",
}
"""Of burn severity those that UN-SPIDER uses."""

OTHER_EXTENT = "7570b3"
NOT_ANALYSED = "bdbdbd"
