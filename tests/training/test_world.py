"""The procedural world: same seed, same picture; masks that are exact, connected and complete."""

import pickle

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from geosam.errors import OptionError
from geosam.training.world import EVENTS, THEMES, render, render_pair
from geosam.training.world.layout import Block, Building, Ground, Layout, Sun
from geosam.training.world.light import shadow_depth
from geosam.training.world.materials import spectrum
from geosam.training.world.places import PLACES
from geosam.training.world.places.aftermath import damaged
from geosam.training.world.places.lookalikes import harder
from geosam.training.world.radar import Radar, backscatter, develop_radar
from geosam.training.world.rendering import MINIMUM_AREA_PX, photograph, settled
from geosam.training.world.sensor import Sensor, compressed

GROUND = Ground(spectrum("6b7a46", 0.4), spectrum("6b7a46", 0.4), 10.0)


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_renders_the_same_picture_twice(theme):
    first, second = render(5, 96, theme=theme), render(5, 96, theme=theme)
    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert first.labels.tobytes() == second.labels.tobytes()
    assert first.parts.tobytes() == second.parts.tobytes()
    assert first.classes == second.classes
    assert first.theme == theme


@pytest.mark.parametrize("event", EVENTS)
def test_a_pair_shows_one_place_before_and_after(event):
    """Most of what stood there stands where it stood, something has changed, and the same seed gives it again."""
    changed = 0
    for seed in range(4):
        pair = render_pair(seed, 128, event=event, resolution_m=0.8)
        again = render_pair(seed, 128, event=event, resolution_m=0.8)
        assert pair.event == event
        for one, other in zip(pair[:2], again[:2], strict=True):
            assert (one.pixels == other.pixels).all()
            assert (one.labels == other.labels).all()
        same = (pair.before.labels > 0) == (pair.after.labels > 0)
        assert same.mean() > 0.3
        changed += int((~same).sum())
        assert (pair.before.resolution_m, pair.before.theme) == (pair.after.resolution_m, pair.after.theme)
    assert changed


def test_what_a_flood_a_landslide_and_a_fire_leave_is_an_object():
    for event, left in (("flood", "flood"), ("landslide", "scar"), ("fire", "burn")):
        pairs = [render_pair(seed, 128, event=event) for seed in range(6)]
        assert sum(left in pair.after.classes for pair in pairs) > sum(left in pair.before.classes for pair in pairs)


def test_an_earthquake_leaves_rubble_in_broken_roofs():
    """Seen alike, a roof that broke is rougher than it was."""
    rough = []
    for damage in (0.0, 1.0):
        hall = Building(32.0, 32.0, (40.0, 30.0), 0.0, "flat", spectrum("b0b0b0", 0.3), 5.0, slope=0.0, clutter=0.0)
        place = Layout("town", 64.0, Sun(1.0, 0.9), GROUND, buildings=(damaged(hall, damage) if damage else hall,))
        world = photograph(place, Sensor(), np.random.default_rng(1), side=128)
        rough.append(world.pixels[:, world.labels == 1].astype(float).std())
    assert rough[1] > 2 * rough[0]


def test_an_unknown_event_is_refused_by_name():
    with pytest.raises(OptionError, match=r"war.*flood"):
        render_pair(0, event="war")


def test_another_seed_gives_another_picture():
    assert render(1, 64, theme="farmland").pixels.tobytes() != render(2, 64, theme="farmland").pixels.tobytes()


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), side=st.sampled_from([64, 96, 130]))
def test_instances_are_numbered_without_gaps_connected_and_not_slivers(seed, side):
    world = render(seed, side)
    assert world.pixels.shape == (3, side, side)
    sizes = np.bincount(world.labels.ravel())[1:]
    assert len(sizes) == len(world.classes)
    assert (sizes >= MINIMUM_AREA_PX).all()
    for number in range(1, len(world.classes) + 1):
        assert ndimage.label(world.labels == number)[1] == 1


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_parts_lie_inside_instances_and_are_numbered_without_gaps(seed):
    world = render(seed, 96)
    assert not world.parts[world.labels == 0].any()
    assert np.array_equal(np.unique(world.parts[world.parts > 0]), np.arange(1, world.parts.max() + 1))


def test_a_roof_is_labelled_where_it_stands_and_nowhere_else():
    house = Building(32.0, 24.0, (20.0, 10.0), 0.0, "gable", spectrum("b0603f", 0.3), 3.0, clutter=0.0)
    world = photograph(
        Layout("one", 64.0, Sun(0.7, 0.8), GROUND, buildings=(house,)), Sensor(), np.random.default_rng(0), side=64
    )
    expected = np.zeros((64, 64), np.int32)
    expected[19:29, 22:42] = 1
    assert np.array_equal(world.labels, expected)
    assert world.classes == ("building",)
    assert np.array_equal(np.unique(world.parts), [0, 1, 2])


def test_facets_towards_the_sun_are_brighter():
    house = Building(32.0, 32.0, (30.0, 20.0), 0.0, "gable", spectrum("999999", 0.3), 3.0, clutter=0.0)
    layout = Layout("one", 64.0, Sun(azimuth=0.0, elevation=0.7), GROUND, buildings=(house,))
    world = photograph(layout, Sensor(), np.random.default_rng(0), side=64)
    assert world.pixels[:, 24:30, 20:44].mean() > 1.3 * world.pixels[:, 34:40, 20:44].mean()


def test_a_shadow_falls_away_from_the_sun_as_far_as_its_elevation_says():
    height = np.zeros((40, 40), np.float32)
    height[20, 20] = 10.0
    depth = shadow_depth(height, Sun(azimuth=0.0, elevation=np.arctan(1.0)), 1.0)
    assert np.flatnonzero(depth[:, 20]).tolist() == list(range(21, 30))
    assert not depth[:, :20].any()
    assert not depth[:, 21:].any()


def test_a_leaning_roof_takes_its_label_with_it():
    house = Building(32.0, 32.0, (16.0, 16.0), 0.0, "flat", spectrum("999999", 0.3), 10.0, clutter=0.0)
    upright = Layout("one", 64.0, Sun(0.0, 0.8), GROUND, buildings=(house,))
    leaning = Layout("one", 64.0, Sun(0.0, 0.8), GROUND, buildings=(house,), lean=(0.5, 0.0))
    first, second = (photograph(v, Sensor(), np.random.default_rng(0), side=64).labels for v in (upright, leaning))
    assert np.array_equal(np.roll(first, 5, axis=1), second)


def test_what_stands_on_top_hides_what_is_below_and_splits_it():
    bar = Block("container", 32.0, 32.0, (80.0, 6.0), 0.0, spectrum("999999", 0.3))
    roof = Building(32.0, 32.0, (10.0, 30.0), 0.0, "flat", spectrum("999999", 0.3), 4.0, clutter=0.0)
    layout = Layout("one", 64.0, Sun(0.0, 0.8), GROUND, buildings=(roof,), blocks=(bar,))
    world = photograph(layout, Sensor(), np.random.default_rng(0), side=64)
    assert sorted(world.classes) == ["building", "building", "container"]


def test_settled_drops_slivers_and_splits_pieces():
    labels = np.zeros((20, 20), np.int32)
    labels[:4, :4], labels[10:14, 10:14], labels[0, 19] = 1, 1, 2
    result, classes = settled(labels, ["field", "tree"])
    assert classes == ("field", "field")
    assert result.max() == 2
    assert result[0, 19] == 0


def test_supersampling_keeps_the_place():
    house = Building(32.0, 32.0, (20.0, 10.0), 0.4, "hip", spectrum("b0603f", 0.3), 3.0, clutter=0.0)
    layout = Layout("one", 64.0, Sun(0.7, 0.8), GROUND, buildings=(house,))
    once, twice = (photograph(layout, Sensor(), np.random.default_rng(0), side=64, supersample=n) for n in (1, 2))
    assert (once.labels != twice.labels).sum() < 20
    assert once.resolution_m == twice.resolution_m == 1.0


def test_reflectance_has_four_bands_and_grass_is_bright_in_the_infrared():
    layout = Layout("bare", 64.0, Sun(0.0, 0.8), GROUND)
    world = photograph(layout, Sensor(), np.random.default_rng(0), side=64, reflectance=True)
    assert world.reflectance is not None
    assert world.reflectance.shape == (4, 64, 64)
    assert world.reflectance[3].mean() > 2 * world.reflectance[0].mean()
    assert render(1, 64).reflectance is None


def test_a_world_crosses_processes():
    world = render(3, 64)
    assert np.array_equal(pickle.loads(pickle.dumps(world)).labels, world.labels)


def test_compression_keeps_the_shape_and_most_of_the_picture():
    pixels = render(3, 64, theme="farmland").pixels
    assert np.abs(compressed(pixels, 95).astype(int) - pixels).mean() < 6


@pytest.mark.parametrize(("options", "named"), [({"theme": "moon"}, "moon"), ({"side": 8}, "side=8")])
def test_impossible_options_are_refused_by_name(options, named):
    with pytest.raises(OptionError, match=named):
        render(0, **options)


def test_small_and_large_instances_both_occur():
    sizes = np.concatenate([np.bincount(render(seed).labels.ravel())[1:] for seed in range(6)])
    assert ((sizes >= 30) & (sizes <= 300)).sum() > 20
    assert (sizes > 4000).sum() >= 2


@pytest.mark.parametrize("theme", ["suburb", "sea", "snow"])
def test_a_radar_sees_the_same_objects_in_other_pixels(theme):
    layout = PLACES[theme][0](np.random.default_rng(11), 192.0)
    seen, scanned = (
        photograph(layout, sensor, np.random.default_rng(0), side=96) for sensor in (Sensor(), Radar(looks=2.0))
    )
    assert seen.classes == scanned.classes
    assert len(seen.classes) > 0
    assert (seen.labels == scanned.labels).all()
    assert (seen.pixels != scanned.pixels).any()
    assert render(11, 64, theme=theme, radar=True).pixels.shape == (3, 64, 64)


def test_speckle_falls_with_the_looks():
    """Two grounds ten times apart in backscatter are told apart the better, the more looks are averaged."""
    light, contrasts = np.full((4, 128, 256), 0.4, np.float32), []
    light[:, :, 128:] = 0.06
    for looks in (1.0, 4.0, 16.0):
        radar = Radar(looks=looks, speckle_px=0.0, low=0.0, high=1.0)
        pixels = develop_radar(light, np.zeros((128, 256), np.float32), radar, np.random.default_rng(0))
        assert (pixels[0] == pixels[2]).all()
        bright, dark = pixels[0, :, :128].astype(float), pixels[0, :, 128:].astype(float)
        contrasts.append((bright.mean() - dark.mean()) / bright.std())
    assert contrasts[0] < contrasts[1] / 1.4 < contrasts[2] / 1.4**2


def test_water_is_dark_to_a_radar_and_walls_are_bright():
    water, grass, roof = (
        np.float32([0.05, 0.05, 0.05, 0.02]),
        np.float32([0.1, 0.12, 0.08, 0.4]),
        np.float32([0.3] * 4),
    )
    light = np.stack([water, grass, roof], 1)[:, None]  # 4 1 3
    like, cross = backscatter(light, np.float32([[0, 0, 8]]))[:, 0]
    assert like[0] < 0.2 * like[1] < 0.2 * like[2]
    assert cross[1] > cross[0]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), theme=st.sampled_from(["suburb", "town", "woodland", "farmland"]))
def test_a_hard_place_keeps_what_stands_there_and_grows_no_shrubs_in_woods_or_on_roofs(seed, theme):
    rng = np.random.default_rng(seed)
    place, _, _ = PLACES[theme]
    plain = place(rng, 120.0)
    hard = harder(rng, plain)
    assert [(b.x, b.y, b.size_m) for b in hard.buildings] == [(b.x, b.y, b.size_m) for b in plain.buildings]
    assert len(hard.regions) == len(plain.regions)
    assert hard.trees[: len(plain.trees)] == plain.trees
    woods = [shapely.Polygon(each.polygon).buffer(0) for each in plain.regions if each.kind == "forest"]
    for shrub in hard.trees[len(plain.trees) :]:
        assert not any(wood.contains(shapely.Point(shrub.x, shrub.y)) for wood in woods)
        assert all(np.hypot(b.x - shrub.x, b.y - shrub.y) > min(b.size_m) / 2 for b in plain.buildings)


def test_hard_pictures_show_more_panels_on_roofs():
    shown = {
        hard: [render(seed, 160, theme="suburb", resolution_m=0.3, hard=hard) for seed in range(6)]
        for hard in (False, True)
    }
    plain, hard = (sum(each.classes.count("solar") for each in shown[which]) for which in (False, True))
    assert hard > plain
