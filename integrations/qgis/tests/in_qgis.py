"""Run inside QGIS (``qgis --code``): installs the plugin from its zip file and tries all that it does.

Told by the environment: ``GEOSAM_ZIP``, ``GEOSAM_PROGRAM``, ``GEOSAM_SCENES`` (folder of the sample data),
``GEOSAM_OUT`` (pictures and the result), ``GEOSAM_ONLY`` (names of tests, with commas). Leaves QGIS with the number of
tests that failed.
"""

import faulthandler
import json
import math
import os
import subprocess
import sys
import time
import traceback

import pyplugin_installer
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsSettings,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QEvent, QPoint, Qt
from qgis.PyQt.QtGui import QMouseEvent
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication, QLineEdit
from qgis.utils import iface, plugins

OUT, SCENES = os.environ["GEOSAM_OUT"], os.environ["GEOSAM_SCENES"]
FAKE = "fake_geosam" in os.environ["GEOSAM_PROGRAM"]
VILLAGE = os.path.join(SCENES, "village_before.tif")
LIMIT_S = 600
RESULTS = {}


def plugin():
    return plugins["geosam_qgis"]


def wait(condition, seconds=90.0, what="it"):
    until = time.monotonic() + seconds
    while not condition():
        QTest.qWait(20)
        assert time.monotonic() < until, f"waited {seconds} s for {what}; status: {plugin().dock.status.text()}"


def picture(name):
    QTest.qWait(600)
    iface.mainWindow().grab().save(os.path.join(OUT, f"{name}.png"))


def add_raster(path, name):
    layer = QgsRasterLayer(path, name)
    assert layer.isValid(), path
    QgsProject.instance().addMapLayer(layer)
    iface.setActiveLayer(layer)
    canvas = iface.mapCanvas()
    canvas.setDestinationCrs(layer.crs())
    canvas.setExtent(layer.extent())
    canvas.refresh()
    QTest.qWait(300)
    return layer


# the screen


def screen_of(x_px, y_px):
    """Where a pixel of the scene lies on the canvas."""
    canvas, place = iface.mapCanvas(), plugin().clicking.place
    turn = QgsCoordinateTransform(place.crs, canvas.mapSettings().destinationCrs(), QgsProject.instance())
    return canvas.mapSettings().mapToPixel().transform(turn.transform(place.point(x_px, y_px))).toQPointF().toPoint()


def move(at, buttons=Qt.MouseButton.NoButton):
    view = iface.mapCanvas().viewport()
    event = QMouseEvent(
        QEvent.Type.MouseMove,
        at,
        view.mapToGlobal(at),
        Qt.MouseButton.NoButton,
        buttons,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(view, event)


def click(at, button=Qt.MouseButton.LeftButton, modifiers=Qt.KeyboardModifier.NoModifier):
    move(at)
    QTest.mouseClick(iface.mapCanvas().viewport(), button, modifiers, at)


def key(which, modifiers=Qt.KeyboardModifier.NoModifier, widget=None):
    QTest.keyClick(widget or iface.mapCanvas(), which, modifiers)


def band(name):
    return plugin().tool.drawn(name)


def known(asked_shape):
    """Wait until a shape is there, and exact."""
    clicking = plugin().clicking
    wait(lambda: getattr(clicking, asked_shape) is not None, what=asked_shape)
    asked = clicking.prompts if asked_shape == "shape" else clicking._hovering()
    wait(lambda: (clicking.previews.known(asked) or {}).get("exact"), what=f"exact {asked_shape}")
    return getattr(clicking, asked_shape)


def start(layer):
    plugin().dock.scenes.setLayer(layer)
    iface.setActiveLayer(layer)
    plugin().action.trigger()
    wait(lambda: plugin().clicking is not None or not plugin().server.running, what="the server")
    assert plugin().clicking is not None, plugin().dock.status.text()
    wait(lambda: iface.mapCanvas().mapTool() is plugin().tool)


def accepted(count):
    rows = plugin().clicking.objects.rows
    wait(lambda: len(rows) == count, 60, f"{count} objects, there are {sorted(rows)}")


def spots():
    """Four places of the village, pixels."""
    return ((300, 300), (660, 280), (340, 680), (720, 720)) if FAKE else (house(0), house(1), house(2), house(3))


def house(number):
    layer = QgsVectorLayer(os.path.join(SCENES, "village_truth.gpkg"), "truth", "ogr")
    found = [one for one in layer.getFeatures() if one["class"] == "building"]
    found.sort(key=lambda one: -one.geometry().area())
    middle = found[number].geometry().pointOnSurface().asPoint()
    return plugin().clicking.place.to_px(middle.x(), middle.y())


# the tests


def test_installs_from_zip():
    installer = pyplugin_installer.instance()
    installer.installFromZipFile(os.environ["GEOSAM_ZIP"])
    assert "geosam_qgis" in plugins, list(plugins)
    provider = QgsApplication.processingRegistry().providerById("geosam")
    names = {one.name() for one in provider.algorithms()}
    assert names == {
        "status",
        "segmenteverything",
        "segmentprompts",
        "segmentwords",
        "coverage",
        "landcover",
        "change",
        "catalog",
    }, names
    assert plugin().action in iface.pluginToolBar().actions() or plugin().action.isVisible()
    QgsSettings().setValue("geosam/program", os.environ["GEOSAM_PROGRAM"])
    return sorted(names)


def test_examples_of_the_modules():
    import doctest
    from importlib import import_module

    names = ("place", "keys", "client", "algorithms.base")
    found = [doctest.testmod(import_module(f"geosam_qgis.{name}")) for name in names]
    assert not any(one.failed for one in found), found
    assert all(one.attempted for one in found), found
    return sum(one.attempted for one in found)


def test_is_made_without_a_window():
    """As ``qgis_process`` makes it, which asks for the provider alone."""
    from geosam_qgis.plugin import GeosamPlugin

    GeosamPlugin(None).unload()


def test_bent_places_turn_back():
    """A scene that bends: from pixels to the world and back, also beyond its edges."""
    from geosam_qgis.place import BentPlace, lattice_px

    def bent(x, y):
        return 500_000 + 0.5 * x - 0.2 * y + 6 * math.sin(y / 200), 5e6 - 0.2 * x - 0.5 * y + 6 * math.cos(x / 250)

    size = (800, 640)
    place = BentPlace([bent(*at) for at in lattice_px(size)], size, None)
    worst = 0.0
    for x, y in ((0, 0), (800, 640), (123.4, 567.8), (799.5, 0.5), (-20, 650), (400, 320)):
        back = place.to_px(*place.to_world(x, y))
        assert abs(back[0] - x) + abs(back[1] - y) < 1e-3, (x, y, back)
        told, true = place.to_world(x, y), bent(x, y)
        if place.holds(x, y):
            worst = max(worst, math.hypot(told[0] - true[0], told[1] - true[1]) / 0.54)
    assert worst < 0.02, worst
    return f"{worst:.4f} px beside the truth at most"


def test_says_where_the_program_is_missing():
    QgsSettings().setValue("geosam/program", "/no/such/geosam")
    try:
        layer = add_raster(VILLAGE, "village")
        plugin().start(layer)
        said = plugin().dock.status.text()
        assert "/no/such/geosam" in said and "install it" in said, said
        algorithm = QgsApplication.processingRegistry().algorithmById("geosam:coverage")
        possible, why = algorithm.canExecute()
        assert not possible and "/no/such/geosam" in why
        return said
    finally:
        QgsSettings().setValue("geosam/program", os.environ["GEOSAM_PROGRAM"])


def run(name, **parameters):
    """Run an algorithm as the toolbox does, its layers loaded into the project."""
    import processing

    feedback, context = QgsProcessingFeedback(), QgsProcessingContext()
    context.setProject(QgsProject.instance())
    found = processing.runAndLoadResults(f"geosam:{name}", parameters, feedback=feedback, context=context)
    assert feedback.progress() > 0 or name == "status", "no progress was told"
    return found, feedback.textLog() if hasattr(feedback, "textLog") else ""


def layers_named(text):
    return [one for one in QgsProject.instance().mapLayers().values() if text in one.source()]


def output(name):
    return os.path.join(OUT, name)


def test_status():
    found, _ = run("status", SCENE=VILLAGE)
    assert found["FOUND"] and found["VERSION"], found
    assert json.loads(found["INFO"])["size"]
    assert "nano" in found["MODELS"]
    return found["VERSION"]


def test_segment_everything():
    found, said = run(
        "segmenteverything", SCENE=VILLAGE, MIN_AREA=20, SPEED=1, AREA=area(), OUTPUT=output("everything.gpkg")
    )
    assert "--speed fast" in said, said
    return look_at(found["OUTPUT"], "singleSymbol")


def test_segment_prompts():
    prompts = QgsVectorLayer(os.path.join(SCENES, "old_footprints.gpkg"), "footprints", "ogr")
    QgsProject.instance().addMapLayer(prompts)
    prompts.selectByIds(sorted(prompts.allFeatureIds())[:6])
    from qgis.core import QgsProcessingFeatureSourceDefinition

    chosen = QgsProcessingFeatureSourceDefinition(prompts.id(), selectedFeaturesOnly=True)
    found, _ = run("segmentprompts", SCENE=VILLAGE, PROMPTS=chosen, OUTPUT=output("prompted.gpkg"))
    layer = QgsVectorLayer(found["OUTPUT"], "prompted", "ogr")
    assert 1 <= layer.featureCount() <= 6, layer.featureCount()
    return look_at(found["OUTPUT"], "singleSymbol")


def test_segment_words():
    found, _ = run("segmentwords", SCENE=VILLAGE, TEXT="building", MIN_AREA=20, OUTPUT=output("words.gpkg"))
    layer = QgsVectorLayer(found["OUTPUT"], "words", "ogr")
    said = {one.name() for one in layer.fields()}, layer.featureCount()
    assert layer.featureCount() > 20, said
    return look_at(found["OUTPUT"], layer.renderer().type())


def test_coverage():
    found, said = run("coverage", SCENE=VILLAGE, MIN_AREA=60, AREA=area(), OUTPUT=output("coverage.gpkg"))
    assert "--coverage" in said and "--speed" not in said, said
    return look_at(found["OUTPUT"], "singleSymbol")


def test_coverage_whose_likely_objects_are_drawn_again():
    found, said = run("coverage", SCENE=VILLAGE, MIN_AREA=60, SPEED=1, AREA=area(), OUTPUT=output("best.gpkg"))
    assert "--speed best" in said, said
    return look_at(found["OUTPUT"], "singleSymbol")


def test_landcover():
    farm, truth = os.path.join(SCENES, "farmland.tif"), os.path.join(SCENES, "farmland_truth.gpkg")
    found, _ = run(
        "landcover",
        SCENE=farm,
        SAMPLES=truth,
        LABEL="class",
        MMU=400,
        OUTPUT=output("landcover.gpkg"),
        RASTER=output("landcover.tif"),
        REPORT=output("landcover.html"),
    )
    assert os.path.exists(found["REPORT"])
    raster = QgsRasterLayer(found["RASTER"], "classes")
    assert raster.isValid() and raster.renderer().type() == "paletted", raster.renderer().type()
    return look_at(found["OUTPUT"], "categorizedSymbol")


def test_change():
    run(
        "change",
        BEFORE=VILLAGE,
        AFTER=os.path.join(SCENES, "village_after.tif"),
        OBJECTS=os.path.join(SCENES, "old_footprints.gpkg"),
        OUTPUT=output("change.gpkg"),
        SWIPE=output("swipe.html"),
    )
    names = sorted(one.name() for one in layers_named("change.gpkg"))
    assert "change" in names, names
    return {one.name(): one.renderer().type() for one in layers_named("change.gpkg")}


def test_catalog():
    folder = output("scenes")
    os.makedirs(folder, exist_ok=True)
    import shutil

    shutil.copy(VILLAGE, folder)
    found, _ = run("catalog", SCENES=folder, MIN_AREA=40, RUN=output("run"), OUTPUT=output("catalog.gpkg"))
    assert os.path.exists(found["REPORT"])
    return look_at(found["OUTPUT"], "singleSymbol")


def test_a_bad_scene_is_one_line():
    broken = output("broken.tif")
    with open(broken, "wb") as file:
        file.write(b"II*\0nothing")
    import processing
    from qgis.core import QgsProcessingException

    try:
        processing.run("geosam:coverage", {"SCENE": VILLAGE, "BANDS": "9", "OUTPUT": output("never.gpkg")})
    except QgsProcessingException as error:
        assert "band" in str(error) and "Traceback" not in str(error), error
        assert not os.path.exists(output("never.gpkg"))
        return str(error)
    raise AssertionError("band 9 of 3 was no error")


def test_cancel_kills_the_process():
    class Impatient(QgsProcessingFeedback):
        def isCanceled(self):
            return time.monotonic() > self.until

    feedback = Impatient()
    feedback.until = time.monotonic() + 6
    began = time.monotonic()
    context = QgsProcessingContext()
    parameters = {"SCENE": VILLAGE, "OUTPUT": output("cancelled.gpkg"), "KINDS": True}
    algorithm = QgsApplication.processingRegistry().algorithmById("geosam:segmenteverything").create()
    assert algorithm.checkParameterValues(parameters, context)[0]
    algorithm.run(parameters, context, feedback)
    took = time.monotonic() - began
    assert not os.path.exists(output("cancelled.gpkg")), "a cancelled run wrote its output"
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=False).stdout
    assert output("cancelled.gpkg") not in running, "the process lives on"
    return f"{took:.1f} s"


def area():
    layer = QgsRasterLayer(VILLAGE, "village")
    box = layer.extent()
    quarter = QgsRectangle(box.xMinimum(), box.yMinimum(), box.center().x(), box.center().y())
    return (
        f"{quarter.xMinimum()},{quarter.xMaximum()},{quarter.yMinimum()},{quarter.yMaximum()} [{layer.crs().authid()}]"
    )


def look_at(path, renderer):
    loaded = layers_named(path.split("|")[0])
    assert loaded, f"{path} was not loaded"
    layer = loaded[0]
    assert layer.featureCount() > 0, path
    assert layer.renderer().type() == renderer, (layer.renderer().type(), renderer)
    own = QgsVectorLayer(layer.source(), "own", "ogr")  # in the style of its file
    assert layer.renderer().dump() == own.renderer().dump(), (layer.renderer().dump(), own.renderer().dump())
    return f"{layer.name()}: {layer.featureCount()} {layer.renderer().type()}"


def test_hover_click_accept():
    QgsProject.instance().clear()
    start(add_raster(VILLAGE, "village"))
    tool, clicking = plugin().tool, plugin().clicking
    if not clicking.classes:
        for number, name in enumerate(("building", "tree"), 1):
            plugin().dock.class_added.emit(name)
            wait(lambda: len(clicking.classes) == number, 60, "the class")  # noqa: B023 - waited for at once
    before = len(clicking.objects.rows)
    at = screen_of(*spots()[0])
    move(at)
    shape = known("hovered")
    drawn, told = band("hover"), clicking.place.shape_to_world(shape)
    assert drawn.equals(told) or drawn.symDifference(told).area() < 1e-6 * told.area(), "the drawn shape is another"
    picture("hover" + "_fake" * FAKE)
    click(at)
    assert clicking.shape == shape, "the click shows another shape than the hover"
    key(Qt.Key.Key_1)
    key(Qt.Key.Key_S)
    accepted(before + 1)
    row = clicking.objects.rows[max(clicking.objects.rows)]
    assert row["class"] == clicking.classes[0]["code"], row["class"]
    assert row["shape"] == shape, "the saved shape is not the preview"
    assert clicking.prompts.empty
    assert tool is iface.mapCanvas().mapTool()
    return clicking.counts


def test_hover_is_as_quick_as_the_server():
    """By turns: pointer to outline in QGIS, and the bare request for another place, both on a warm window."""
    from geosam_qgis.client import ask_blocking
    from geosam_qgis.previews import Asked

    clicking, drawn, bare = plugin().clicking, [], []
    x, y = spots()[0]
    for step in range(24):
        at = screen_of(x - 60 + 5 * step, y + 40)
        began = time.perf_counter()
        move(at)
        until = began + 20
        while clicking.hovered is None and time.perf_counter() < until:
            QTest.qWait(1)
        drawn.append(time.perf_counter() - began)
        request = Asked(((x - 60 + 5 * step, y + 47.5, 1),)).request(0)
        began = time.perf_counter()
        ask_blocking(clicking.client, request)
        bare.append(time.perf_counter() - began)
        clicking.leave()
    drawn, bare = sorted(drawn), sorted(bare)
    return {
        "QGIS, ms (median, p95)": [round(1000 * drawn[at]) for at in (12, 22)],
        "server alone, ms": [round(1000 * bare[at]) for at in (12, 22)],
        "ratio of medians": round(drawn[12] / bare[12], 2),
    }


def test_corrects_and_takes_back():
    clicking = plugin().clicking
    at, beside = spots()[1], (spots()[1][0] + 6, spots()[1][1] + 6)
    click(screen_of(*at))
    first = known("shape")
    click(screen_of(*beside), Qt.MouseButton.RightButton)
    assert [label for _, _, label in clicking.prompts.points] == [1, 0]
    known("shape")
    assert len(plugin().tool._markers) == 2
    picture("corrected" + "_fake" * FAKE)
    key(Qt.Key.Key_Z)
    assert clicking.shape == first
    click(screen_of(*beside), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.AltModifier)
    assert [label for _, _, label in clicking.prompts.points] == [1, 0]
    key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    key(Qt.Key.Key_Escape)
    assert clicking.prompts.empty and iface.mapCanvas().mapTool() is plugin().tool


def test_box_by_drag():
    clicking = plugin().clicking
    before = len(clicking.objects.rows)
    x, y = spots()[2]
    view = iface.mapCanvas().viewport()
    a, b = screen_of(x - 25, y - 25), screen_of(x + 25, y + 25)
    move(a)
    QTest.mousePress(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, a)
    move(QPoint((a.x() + b.x()) // 2, (a.y() + b.y()) // 2), Qt.MouseButton.LeftButton)
    move(b, Qt.MouseButton.LeftButton)
    assert not band("box").isEmpty()
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, b)
    assert clicking.prompts.box is not None
    assert abs(clicking.prompts.box[0] - (x - 25)) < 2 and abs(clicking.prompts.box[3] - (y + 25)) < 2
    known("shape")
    key(Qt.Key.Key_2)
    key(Qt.Key.Key_Return)
    accepted(before + 1)


def test_undo_redo_delete_reopen():
    clicking = plugin().clicking
    count = len(clicking.objects.rows)
    key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    accepted(count - 1)
    key(Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    accepted(count)
    inside = spots()[0]
    move(screen_of(*inside))
    key(Qt.Key.Key_V)
    key(Qt.Key.Key_2)
    number = clicking.objects.at(*inside)
    assert clicking.objects.selected == {number}
    assert not band("selected").isEmpty()
    wait(lambda: clicking.objects.rows[number]["class"] == clicking.classes[1]["code"], 60, "the class")
    key(Qt.Key.Key_Escape)
    assert not clicking.objects.selected
    key(Qt.Key.Key_E)
    wait(lambda: clicking.prompts.object == number, 60, "reopening")
    key(Qt.Key.Key_Escape)
    move(screen_of(*inside))
    key(Qt.Key.Key_Delete)
    accepted(count - 1)
    key(Qt.Key.Key_Z)
    accepted(count)


def test_outline_cut_and_join():
    clicking = plugin().clicking
    count = len(clicking.objects.rows)
    x, y = spots()[3]
    key(Qt.Key.Key_O)
    for dx, dy in ((-30, -20), (30, -20), (30, 20), (-30, 20)):
        click(screen_of(x + dx, y + dy))
    assert len(clicking.line) == 4
    assert not plugin().tool._bands["line"].asGeometry().isEmpty()
    key(Qt.Key.Key_Return)
    assert len(clicking.prompts.outline) == 4
    if not FAKE:  # the fake knows no outlines
        known("shape")
    key(Qt.Key.Key_Escape)
    x, y = spots()[0]
    inside = clicking.objects.at(x, y)
    box = clicking.place.shape_to_px(clicking.objects.rows[inside]["shape"]).boundingBox()
    key(Qt.Key.Key_K)
    click(screen_of(x, box.yMinimum() - 5))
    click(screen_of(x, box.yMaximum() + 5))
    picture("cut" + "_fake" * FAKE)
    key(Qt.Key.Key_Return)
    wait(lambda: len(clicking.objects.rows) > count, 60, "the pieces")
    pieces = [number for number in clicking.objects.rows if number == inside or number > max_before(clicking, inside)]
    assert len(pieces) >= 2, pieces
    clicking.objects.selected.update(pieces)
    key(Qt.Key.Key_J)
    accepted(count)
    key(Qt.Key.Key_Z)
    accepted(count - 1 + len(pieces))
    key(Qt.Key.Key_Z)
    accepted(count)


def max_before(clicking, inside):
    """The highest id of the objects that do not touch one."""
    shapes = {n: clicking.place.shape_to_px(row["shape"]) for n, row in clicking.objects.rows.items()}
    return max((n for n, shape in shapes.items() if shape.distance(shapes[inside]) > 0.5), default=0)


def test_coverage_of_the_view():
    clicking = plugin().clicking
    before = len(clicking.objects.rows)
    key(Qt.Key.Key_C)
    wait(lambda: clicking.finds.candidates, 300, "segments")
    found = len(clicking.finds.candidates)
    assert clicking.finds.together
    one = clicking.finds.candidates[0]
    other = beside(one)
    for each in (one, other):
        middle = clicking.place.shape_to_px(each["shape"]).pointOnSurface().asPoint()
        click(screen_of(middle.x(), middle.y()))
    assert clicking.finds.picked == [one, other]
    picture("coverage" + "_fake" * FAKE)
    began = time.process_time()
    for step in range(20):
        move(screen_of(300 + step, 300))
    moved = (time.process_time() - began) / 20
    key(Qt.Key.Key_Return)
    accepted(before + 1)
    assert len(clicking.finds.candidates) == found - 2
    key(Qt.Key.Key_Escape)
    key(Qt.Key.Key_Z)
    accepted(before)
    return f"{found} segments; a move of the pointer takes {1000 * moved:.1f} ms of the processor"


def beside(one):
    """The candidate with the longest border with another."""
    clicking = plugin().clicking
    shape = clicking.place.shape_to_px(one["shape"])
    others = [each for each in clicking.finds.candidates if each is not one]
    return max(others, key=lambda each: shape.intersection(clicking.place.shape_to_px(each["shape"])).length())


def test_keys_are_left_to_those_who_type():
    clicking = plugin().clicking
    before = len(clicking.objects.rows)
    field = QLineEdit(iface.mainWindow())
    field.show()
    field.setFocus()
    move(screen_of(*spots()[3]))
    known("hovered")
    for which in (Qt.Key.Key_S, Qt.Key.Key_1, Qt.Key.Key_E):
        key(which, widget=field)
    assert field.text().lower() == "s1e", field.text()
    field.deleteLater()
    iface.mapCanvas().setFocus()
    QTest.qWait(300)
    assert len(clicking.objects.rows) == before
    iface.actionPan().trigger()  # not armed
    key(Qt.Key.Key_S)
    QTest.qWait(300)
    assert len(clicking.objects.rows) == before
    plugin().action.trigger()
    assert iface.mapCanvas().mapTool() is plugin().tool


def test_s_does_not_reach_the_snapping_of_qgis():
    snapping = QgsProject.instance().snappingConfig().enabled()
    move(QPoint(1, 1))
    plugin().clicking.leave()
    key(Qt.Key.Key_S)
    QTest.qWait(100)
    assert QgsProject.instance().snappingConfig().enabled() == snapping


def test_outside_says_so():
    canvas = iface.mapCanvas()
    box = canvas.extent()
    box.scale(3)
    canvas.setExtent(box)
    canvas.refresh()
    QTest.qWait(300)
    click(QPoint(5, 5))
    assert "outside" in plugin().dock.status.text()
    assert plugin().clicking.prompts.empty
    canvas.setExtent(plugin().layer.extent())
    canvas.refresh()
    QTest.qWait(300)


def test_another_crs_of_the_map():
    canvas = iface.mapCanvas()
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    canvas.zoomToFullExtent()
    QTest.qWait(500)
    x, y = spots()[3]
    found = plugin().tool.to_px(screen_of(x, y))
    assert abs(found[0] - x) < 2 and abs(found[1] - y) < 2, found
    click(screen_of(x, y))
    shape = known("shape")
    drawn, told = band("review"), QgsGeometry(plugin().clicking.place.shape_to_world(shape))
    told.transform(
        QgsCoordinateTransform(plugin().layer.crs(), canvas.mapSettings().destinationCrs(), QgsProject.instance())
    )
    assert abs(drawn.area() - told.area()) < 0.01 * told.area()
    picture("mercator" + "_fake" * FAKE)
    key(Qt.Key.Key_Escape)
    canvas.setDestinationCrs(plugin().layer.crs())
    canvas.setExtent(plugin().layer.extent())
    QTest.qWait(300)


def test_more_like_this():
    clicking = plugin().clicking
    if not clicking.hello["can"].get("similar"):
        return "this server does not"
    before = len(clicking.objects.rows)
    number = clicking.objects.at(*spots()[0])
    assert number is not None
    move(screen_of(*spots()[0]))
    key(Qt.Key.Key_M)
    wait(lambda: clicking.finds.candidates or "searching" not in plugin().dock.status.text(), 120, "candidates")
    found = len(clicking.finds.candidates)
    assert found, plugin().dock.status.text()
    picture("similar" + "_fake" * FAKE)
    clicking.finds.pick(clicking.finds.candidates[0])
    key(Qt.Key.Key_S)
    accepted(before + 1)
    key(Qt.Key.Key_Return)
    accepted(before + found)
    assert not clicking.finds.candidates
    key(Qt.Key.Key_Z)
    accepted(before + 1)
    key(Qt.Key.Key_Z)
    accepted(before)
    return found


def test_words_and_suggestions():
    clicking, said = plugin().clicking, {}
    if FAKE:
        return "the fake knows no words"
    plugin().dock.word.emit("building")
    wait(lambda: clicking.finds.candidates or "searching" not in plugin().dock.status.text(), 200, "candidates")
    said["building"] = len(clicking.finds.candidates), plugin().dock.status.text()
    picture("word")
    key(Qt.Key.Key_Escape)
    for _ in range(20):  # until the server has looked for something to suggest
        key(Qt.Key.Key_N)
        QTest.qWait(1500)
        if clicking.finds.suggestion:
            break
    said["suggestion"] = plugin().dock.status.text()
    if clicking.finds.suggestion:
        picture("suggestion")
        before = clicking.finds.suggestion["key"]
        key(Qt.Key.Key_X)
        wait(
            lambda: clicking.finds.suggestion is None or clicking.finds.suggestion["key"] != before,
            30,
            "another suggestion",
        )
    key(Qt.Key.Key_Escape)
    return said


def test_session_is_a_layer():
    layer = plugin().session.layer
    if FAKE:
        return "the fake writes no file"
    wait(lambda: plugin().session.layer is not None, 60, "the layer")
    layer = plugin().session.layer
    wait(lambda: layer.featureCount() == len(plugin().clicking.objects.rows), 60, "the layer's objects")
    picture("session")
    assert not os.path.exists(plugin().session.path + "-wal"), "QGIS has put the session file into another mode"
    return f"{layer.name()}: {layer.featureCount()}, {layer.renderer().type()}"


def test_what_the_vertex_tool_of_qgis_saves_counts():
    """Edited with QGIS's own tools, saved there, known here at once, and undone here."""
    layer, clicking, canvas = plugin().session.layer, plugin().clicking, iface.mapCanvas()
    if FAKE:
        return "the fake writes no file"
    number = max(clicking.objects.rows)
    before = clicking.objects.rows[number]["shape"]
    iface.setActiveLayer(layer)
    assert layer.startEditing(), "the layer is read-only"
    canvas.setExtent(layer.getFeature(number).geometry().boundingBox().buffered(20))
    canvas.refresh()
    QTest.qWait(500)
    corner, to = before["coordinates"][0][1], None
    iface.actionVertexToolActiveLayer().trigger()
    at = screen_of(*corner)
    to = QPoint(at.x() + 15, at.y() - 12)
    for place in (at, to):
        move(place)
        QTest.qWait(200)
        click(place)
        QTest.qWait(200)
    picture("vertex_tool")
    assert layer.isModified(), "the vertex tool has moved nothing"
    assert clicking.objects.rows[number]["shape"] == before, "known before it was saved"
    assert layer.commitChanges(), layer.commitErrors()
    wait(lambda: clicking.objects.rows[number]["shape"] != before, 60, "the edit")
    after = clicking.objects.rows[number]["shape"]
    old, new = ({tuple(place) for place in shape["coordinates"][0]} for shape in (before, after))
    assert old - new == {tuple(corner)} and len(new - old) == 1, (old - new, new - old)
    iface.mapCanvas().setMapTool(plugin().tool)
    clicking.change({"verb": "undo"})
    wait(lambda: clicking.objects.rows[number]["shape"] == before, 60, "the undo")
    wait(lambda: layer.getFeature(number).geometry().vertexAt(0) is not None, 60)
    told = clicking.place.shape_to_world(before)
    wait(lambda: layer.getFeature(number).geometry().symDifference(told).area() < 1e-6 * told.area(), 60, "the layer")
    click(screen_of(*spots()[2]))
    known("shape")
    key(Qt.Key.Key_Escape)
    return f"{sorted(old - new)} to {sorted(new - old)}; wal: {os.path.exists(plugin().session.path + '-wal')}"


def test_a_killed_server_loses_nothing():
    before = dict(plugin().clicking.objects.rows)
    os.kill(plugin().server._process.processId(), 9)
    wait(lambda: plugin().clicking is None, 60, "the news")
    said = plugin().dock.status.text()
    assert "ended" in said, said
    assert iface.mapCanvas().mapTool() is not plugin().tool
    if FAKE:
        start(plugin().dock.scenes.currentLayer())
        return said
    start(plugin().dock.scenes.currentLayer())
    wait(lambda: len(plugin().clicking.objects.rows) == len(before), 60, "the objects")
    after = plugin().clicking.objects.rows
    assert {n: (row["class"], row["shape"]) for n, row in after.items()} == {
        n: (row["class"], row["shape"]) for n, row in before.items()
    }
    return said


def test_panel_on_its_own():
    plugin().dock.show()
    picture("panel" + "_fake" * FAKE)
    plugin().do("help")
    QTest.qWait(300)
    box = QApplication.activeModalWidget() or QApplication.topLevelWidgets()[-1]
    shown = [one for one in QApplication.topLevelWidgets() if one.windowTitle().startswith("geosam: keys")]
    assert shown
    shown[0].grab().save(os.path.join(OUT, "keys.png"))
    shown[0].close()
    return type(box).__name__


def test_rotated():
    return click_elsewhere("rotated")


def test_control_points():
    return click_elsewhere("gcp")


def click_elsewhere(name):
    """Click the middle of another scene, which QGIS shows warped."""
    path = os.path.join(SCENES, f"{name}.tif")
    if FAKE or not os.path.exists(path):
        return f"no {name}.tif"
    plugin().stop()
    iface.actionPan().trigger()
    QgsProject.instance().clear()
    start(add_raster(path, name))
    clicking = plugin().clicking
    x, y = clicking.place.size[0] / 2, clicking.place.size[1] / 2
    there = clicking.place.to_px(*clicking.place.to_world(x, y))
    assert abs(there[0] - x) + abs(there[1] - y) < 1e-4, there
    middle = plugin().layer.extent().center()
    at = clicking.place.to_world(x, y)
    assert abs(at[0] - middle.x()) + abs(at[1] - middle.y()) < 0.02 * plugin().layer.extent().width(), (at, middle)
    move(screen_of(x, y))
    known("hovered")
    picture(name)
    click(screen_of(x, y))
    known("shape")
    key(Qt.Key.Key_Return)
    accepted(1)
    return type(clicking.place).__name__


def test_leaves_nothing_behind():
    server = plugin().server._process
    number = server.processId() if server is not None else None
    pyplugin_installer.instance()
    from qgis.utils import unloadPlugin

    assert unloadPlugin("geosam_qgis")
    QTest.qWait(200)
    assert QgsApplication.processingRegistry().providerById("geosam") is None
    if number:
        assert not os.path.exists(f"/proc/{number}"), "the server lives on"
    return "the server has ended" if number else "no server ran"


def main():
    faulthandler.enable()
    window = iface.mainWindow()
    window.resize(1400, 900)
    only = [name for name in os.environ.get("GEOSAM_ONLY", "").split(",") if name]
    tests = [(name, one) for name, one in globals().items() if name.startswith("test_")]
    for name, one in tests:
        if only and name not in only and name != "test_installs_from_zip":
            continue
        began = time.monotonic()
        faulthandler.dump_traceback_later(LIMIT_S, exit=True)  # a dialog that waits for somebody
        try:
            RESULTS[name] = {"ok": True, "said": one(), "s": round(time.monotonic() - began, 1)}
        except BaseException:
            RESULTS[name] = {"ok": False, "said": traceback.format_exc(), "s": round(time.monotonic() - began, 1)}
            window.grab().save(os.path.join(OUT, f"failed_{name}.png"))
        mark = "ok    " if RESULTS[name]["ok"] else "FAILED"
        print(f"{mark} {name} ({RESULTS[name]['s']} s): {RESULTS[name]['said']}", file=sys.stderr, flush=True)
    with open(os.path.join(OUT, "result.json"), "w", encoding="utf-8") as file:
        json.dump(RESULTS, file, indent=1, default=str)
    failed = sum(not one["ok"] for one in RESULTS.values())
    if "geosam_qgis" in plugins:
        plugin().stop()
    os._exit(min(failed, 99))


main()
