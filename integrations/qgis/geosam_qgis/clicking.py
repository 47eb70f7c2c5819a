"""The object in hand: its prompts, its preview, and what is asked of the server; it counts in pixels."""

from qgis.PyQt.QtCore import QObject, pyqtSignal

from .editing import Editing
from .finds import Finds
from .objects import Objects
from .previews import Asked, Previews


class Clicking(QObject):
    """A session of clicks on one scene.

    Signals
    -------
    drawn
        What is to be drawn has changed: `shape`, `hovered`, `prompts`, `finds`, `line`.
    saved
        Objects on disk have changed.
    said
        A line for the user, and whether it is about something that went wrong.
    """

    drawn = pyqtSignal()
    saved = pyqtSignal()
    said = pyqtSignal(str, bool)

    def __init__(self, client, hello, place, parent=None):
        super().__init__(parent)
        self.client, self.place, self.hello = client, place, hello
        self.objects = Objects(place)
        self.classes = list(hello.get("classes", ()))
        self.counts = dict(hello.get("counts", {}))
        self.can_undo, self.can_redo = hello.get("can_undo", False), hello.get("can_redo", False)
        self.current = self.classes[0]["code"] if self.classes else None
        self.prompts, self.pointer = Asked(), None
        self.finds, self.edit = Finds(place), Editing(self)
        self.drawing, self.line = "", []
        self.hovers, self.quick, self._accepting, self.ended = True, False, False, False
        self.previews = Previews(client, self._wanted, self)
        self.previews.came.connect(self._previewed)
        self.fetch_objects()

    # what is drawn

    @property
    def shape(self):
        """The shape of the prompts that were given: what accepting saves; None if it is not known yet."""
        return self.finds.suggestion["shape"] if self.finds.suggestion else self.previews.shape(self.prompts)

    @property
    def hovered(self):
        """The shape that a click at the pointer would give; None if it is not known yet, or not wanted."""
        return self.previews.shape(self._hovering()) if self._hovers else None

    # the pointer and clicks

    def hover(self, x, y):
        """The pointer lies here: show what a click would give."""
        if not self.place.holds(x, y):
            self.leave()
            return
        self.pointer = (x, y)
        self.drawn.emit()
        self.previews.ask_next()

    def leave(self):
        """The pointer is not on the scene."""
        if self.pointer is not None:
            self.pointer = None
            self.drawn.emit()

    def click(self, x, y, label=1):
        """Add what lies here to the object in hand (1), or take it away (0); also a place of a line, or a candidate."""
        if not self._inside(x, y):
            return
        found = self.finds.at(x, y) if self.finds.candidates and self.prompts.empty else None
        if self.drawing and label:
            self.line.append((x, y))
            self.drawn.emit()
            return
        if found is not None and label:
            self.finds.pick(found)
            self.said.emit(f"{len(self.finds.picked)} picked: Enter saves", False)
            self.drawn.emit()
            return
        if label == 0 and self.prompts.empty:
            self.said.emit("nothing to take away from yet: left click an object first", False)
            return
        self.finds.suggestion = None
        self._set(points=(*self.prompts.points, (x, y, label)))
        if self.quick:
            self.accept()

    def drag(self, x0, y0, x1, y1):
        """Look for the object in a box, in place of a former one."""
        box = self.place.clipped(((x0, x1), (y0, y1)))
        if box is None:
            self._outside()
            return
        self.finds.suggestion = None
        self._set(box=tuple(box))

    def draw(self, what):
        """Draw an ``outline`` of the object, or a line to ``cut`` one, click by click."""
        self.drawing, self.line = what, []
        self.said.emit(f"{what}: click along it, then Enter", False)
        self.drawn.emit()

    def take_away(self):
        """Take away what lies under the pointer: a suggestion, a candidate, or ground from the object in hand."""
        found = self.finds.at(*self.pointer) if self.finds.candidates and self.pointer else None
        if self.finds.suggestion:
            key, self.finds.suggestion = self.finds.suggestion["key"], None
            self.client.ask({"verb": "reject", "key": key}, lambda *_: self.suggest())
        elif found:
            self.finds.drop([found])
            self.client.ask({"verb": "reject", "key": found["key"]}, lambda *_: None)
        elif self.pointer:
            self.click(*self.pointer, 0)
        self.drawn.emit()

    def take_up(self, asked):
        """Go on with these prompts."""
        self.prompts = asked
        self.drawn.emit()
        self.previews.ask_next()

    def take_back(self):
        """Take back the last prompt; with none, the last change that was saved."""
        asked = self.prompts
        if self.line:
            self.line.pop()
            self.drawn.emit()
        elif asked.points:
            self._set(points=asked.points[:-1])
        elif asked.box is not None:
            self._set(box=None)
        elif asked.outline is not None:
            self._set(outline=None)
        elif asked.object is not None or self.finds.suggestion:
            self.clear()
        else:
            self.change({"verb": "undo"})

    def clear(self):
        """Let go, one thing at a time: a line, the object in hand, what was found, the selection.

        Tells whether there was anything.
        """
        if self.drawing:
            self.drawing, self.line, had = "", [], True
        elif self.prompts != Asked():
            self.prompts, self._accepting, had = Asked(), False, True
        else:
            had = self.finds.clear() or bool(self.objects.selected)
            self.objects.selected.clear()
        self.drawn.emit()
        return had

    def accept(self):
        """Save what is shown; where its exact shape is still on its way, as soon as it is there."""
        if self.drawing:
            self._finish_line()
        elif self.finds.suggestion:
            self._save([self.finds.suggestion["key"]])
        elif self.finds.candidates and self.prompts.empty:
            self._accept_candidates()
        elif self.prompts.empty and self.pointer is None:
            self.said.emit("nothing to accept: click an object first", False)
        else:
            if self.prompts.empty:  # what lies under the pointer
                self.prompts = Asked(((*self.pointer, 1),), object=self.prompts.object)
            self._accepting = True
            self.previews.ask_next()
            self._accept_if_known()

    # changes

    def change(self, request, then=None):
        """Ask for something that changes what is saved."""

        def changed(answer, _):
            if not answer.get("ok"):
                self.failed(answer)
                return
            self._take(answer)
            self.said.emit(answer.get("did") or "done", False)
            if then is not None:
                then(answer)
            self.saved.emit()
            self.drawn.emit()

        self.client.ask(request, changed)

    def choose(self, digit):
        """Choose the class that a digit stands for; 0 is none."""
        if digit > len(self.classes):
            self.said.emit(f"there is no class {digit}", False)
            return
        self.current = None if digit == 0 else self.classes[digit - 1]["code"]
        self.said.emit("no class" if digit == 0 else f"class {self.classes[digit - 1]['name']}", False)
        self.edit.classify()

    def add_class(self, name, color):
        """Add a class to the legend."""
        code = 1 + max((one["code"] for one in self.classes), default=0)
        asked = [*({key: one[key] for key in ("code", "name", "color")} for one in self.classes)]
        asked.append({"code": code, "name": name, "color": color})

        def told(answer):
            self.current = next((one["code"] for one in self.classes if one["name"] == name), self.current)

        self.change({"verb": "classes", "classes": asked}, told)

    # what the server finds by itself

    def suggest(self):
        """Show the object that the server doubts most."""

        def told(answer, _):
            if not answer.get("ok"):
                self.failed(answer)
            elif not answer.get("key"):
                self.said.emit(answer.get("why") or "no further suggestion", False)
            else:
                self.prompts, self.finds.suggestion = Asked(), answer
                self.said.emit("accept, or X to reject", False)
                self.drawn.emit()

        after = self.finds.suggestion["key"] if self.finds.suggestion else None
        self.client.ask({"verb": "suggest", "after": after}, told)

    def show_candidates(self, candidates, note="", together=False):
        """Show what a search has found: accepting saves all, or those that are clicked before."""
        self.finds.show(candidates, together)
        found = note or f"{len(self.finds.candidates)} found"
        how = "click those that make an object, then Enter" if together else "Enter saves all, or those that you click"
        self.said.emit(f"{found}: {how}" if self.finds.candidates else found, False)
        self.drawn.emit()

    # inside

    @property
    def _hovers(self):
        """Whether the pointer shows what a click would give."""
        return bool(self.pointer and self.hovers) and not self.drawing and not self.finds.together

    def _hovering(self):
        """The prompts with a click at the pointer."""
        asked = self.prompts
        return Asked((*asked.points, (*self.pointer, 1)), asked.box, asked.outline, asked.object)

    def _set(self, **parts):
        now = {name: getattr(self.prompts, name) for name in ("points", "box", "outline", "object")}
        self.prompts = Asked(**{**now, **parts})
        self._accepting = False
        if not self.prompts.empty and self.shape is None:
            self.said.emit("looking …", False)
        self.drawn.emit()
        self.previews.ask_next()

    def _wanted(self):
        """The object in hand, then what lies under the pointer; and which of them only hovers."""
        asked = [] if self.prompts.empty else [(self.prompts, False)]
        return asked + ([(self._hovering(), True)] if self._hovers and not self._accepting else [])

    def _previewed(self, asked, answer):
        mine = asked == self.prompts
        if not answer.get("ok"):
            if mine or answer.get("kind") not in ("outside", "nothing"):
                self.failed(answer)
            self._accepting = self._accepting and answer.get("kind") != "gone"
        elif mine and not answer.get("shape"):
            self.said.emit("nothing found there: click elsewhere", False)
        elif mine and not self._accepting:
            state = "" if answer.get("exact", True) else ", still rough"
            self.said.emit(f"score {answer.get('score', 0):.2f}{state}: Enter saves, right click takes away", False)
        self.drawn.emit()
        self._accept_if_known()

    def _accept_if_known(self):
        found = self.previews.known(self.prompts)
        if not self._accepting or not found or not found.get("exact", True):
            return
        self._accepting = False
        if found.get("key") and found.get("shape"):
            self._save([found["key"]])
        else:
            self.said.emit("nothing to accept there", False)

    def _save(self, keys):
        request = {"verb": "accept", "keys": keys, "class": self.current, "object": self.prompts.object}
        self.prompts, self.finds.suggestion = Asked(), None
        self.change(request)

    def _accept_candidates(self):
        wanted, each = self.finds.wanted(), not self.finds.together
        if not wanted:
            self.said.emit("click the segments that make an object, then Enter", False)
            return
        keys = [one["key"] for one in wanted]
        self.finds.drop(wanted)
        self.change({"verb": "accept", "keys": keys, "class": self.current, "object": None, "each": each})

    def _finish_line(self):
        what, line, self.drawing, self.line = self.drawing, tuple(self.line), "", []
        if what == "cut":
            self.edit.cut(line)
        elif len(line) < 3:
            self.said.emit("an outline has three places or more", False)
        else:
            self._set(outline=line)
        self.drawn.emit()

    def _inside(self, x, y):
        if not self.place.holds(x, y):
            self._outside()
            return False
        return True

    def _outside(self):
        self.said.emit("outside the scene: click on it", False)

    def failed(self, answer):
        bad = answer.get("kind") not in ("outside", "nothing", "busy")
        self.said.emit(answer.get("error") or "geosam does not answer", bad)

    def _take(self, answer):
        """Take over what has changed."""
        self.objects.take(answer)
        self.counts = answer.get("counts", self.counts)
        self.classes = list(answer.get("classes", self.classes))
        self.can_undo, self.can_redo = answer.get("can_undo", False), answer.get("can_redo", False)

    def fetch_objects(self):
        """Ask for the objects that changed since it was asked last."""

        def told(answer, _):
            if not answer.get("ok"):
                self.failed(answer)
                return
            self._take(answer)
            if answer.get("more"):
                self.fetch_objects()
            else:
                self.saved.emit()
                self.drawn.emit()

        self.client.ask({"verb": "objects", "since": self.objects.revision}, told)
