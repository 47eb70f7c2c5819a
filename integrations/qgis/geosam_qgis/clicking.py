"""The object in hand: its prompts, its preview, and what is asked of the server; it counts in pixels."""

from qgis.PyQt.QtCore import QObject, pyqtSignal

from .objects import Objects
from .previews import Asked, Previews


class Clicking(QObject):
    """A session of clicks on one scene.

    Signals
    -------
    drawn
        What is to be drawn has changed: `shape`, `hovered`, `prompts`, `candidates`.
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
        self.candidates, self.suggestion = [], None
        self._accepting = False
        self.previews = Previews(client, self._wanted, self)
        self.previews.came.connect(self._previewed)
        self._fetch_objects()

    # what is drawn

    @property
    def shape(self):
        """The shape of the prompts that were given: what accepting saves; None if it is not known yet."""
        return self.suggestion["shape"] if self.suggestion else self.previews.shape(self.prompts)

    @property
    def hovered(self):
        """The shape that a click at the pointer would give; None if it is not known yet."""
        return self.previews.shape(self._hovering()) if self.pointer else None

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
        """Add what lies here to the object in hand (1), or take it away (0)."""
        if not self._inside(x, y):
            return
        if label == 0 and self.prompts.empty:
            self.said.emit("nothing to take away from yet: left click an object first", False)
            return
        self.suggestion = None
        self._set(points=(*self.prompts.points, (x, y, label)))

    def drag(self, x0, y0, x1, y1):
        """Look for the object in a box, in place of a former one."""
        box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        width, height = self.place.size
        box = (max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height))
        if box[0] >= box[2] or box[1] >= box[3]:
            self._outside()
            return
        self.suggestion = None
        self._set(box=box)

    def take_back(self):
        """Take back the last prompt; with none, the last change that was saved."""
        asked = self.prompts
        if asked.points:
            self._set(points=asked.points[:-1])
        elif asked.box is not None:
            self._set(box=None)
        elif asked.outline is not None:
            self._set(outline=None)
        elif asked.object is not None or self.suggestion:
            self.clear()
        else:
            self.change({"verb": "undo"})

    def clear(self):
        """Let the object in hand go; tells whether there was anything."""
        had = self.prompts != Asked() or bool(self.suggestion) or bool(self.candidates)
        self.prompts, self.suggestion, self.candidates, self._accepting = Asked(), None, [], False
        self.drawn.emit()
        return had

    def accept(self):
        """Save what is shown; where its exact shape is still on its way, as soon as it is there."""
        if self.suggestion:
            self._save([self.suggestion["key"]])
        elif self.candidates and self.prompts.empty:
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
                self._failed(answer)
                return
            self.objects.take(answer)
            self.counts = answer.get("counts", self.counts)
            self.classes = list(answer.get("classes", self.classes))
            self.can_undo, self.can_redo = answer.get("can_undo", False), answer.get("can_redo", False)
            self.said.emit(answer.get("did") or "done", False)
            if then is not None:
                then(answer)
            self.saved.emit()
            self.drawn.emit()

        self.client.ask(request, changed)

    def delete_here(self):
        """Delete the object under the pointer."""
        number = self._under_pointer()
        if number is not None:
            self.change({"verb": "delete", "ids": [number]})

    def classify_here(self):
        """Give the object under the pointer the current class."""
        number = self._under_pointer()
        if number is not None:
            self.change({"verb": "classify", "ids": [number], "class": self.current})

    def reopen_here(self):
        """Take the object under the pointer into the hand again, with the prompts that it came from."""
        number = self._under_pointer()
        if number is None:
            return

        def reopened(answer, _):
            if not answer.get("ok"):
                self._failed(answer)
                return
            told = answer.get("prompts") or {}
            points = tuple(tuple(point) for point in told.get("points") or ())
            box, outline = told.get("box"), told.get("outline")
            self.prompts = Asked(
                points, tuple(box) if box else None, tuple(map(tuple, outline)) if outline else None, number
            )
            self.said.emit(f"object {number} is open: correct it and accept", False)
            self.drawn.emit()
            self.previews.ask_next()

        self.client.ask({"verb": "reopen", "id": number}, reopened)

    def choose(self, digit):
        """Choose the class that a digit stands for; 0 is none."""
        if digit > len(self.classes):
            self.said.emit(f"there is no class {digit}", False)
            return
        self.current = None if digit == 0 else self.classes[digit - 1]["code"]
        self.said.emit("no class" if digit == 0 else f"class {self.classes[digit - 1]['name']}", False)

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
                self._failed(answer)
            elif not answer.get("key"):
                self.said.emit(answer.get("why") or "no further suggestion", False)
            else:
                self.prompts, self.suggestion = Asked(), answer
                self.said.emit("accept, or X to reject", False)
                self.drawn.emit()

        after = self.suggestion["key"] if self.suggestion else None
        self.client.ask({"verb": "suggest", "after": after}, told)

    def reject(self):
        """Never show this suggestion again, nor the candidate under the pointer."""
        if self.suggestion:
            key, self.suggestion = self.suggestion["key"], None
            self.client.ask({"verb": "reject", "key": key}, lambda *_: self.suggest())
        elif self.pointer:
            found = self.candidate_at(*self.pointer)
            if found:
                self.candidates.remove(found)
                self.client.ask({"verb": "reject", "key": found["key"]}, lambda *_: None)
        self.drawn.emit()

    def show_candidates(self, candidates, note=""):
        """Show what a search has found; accepting saves all of them, a click one."""
        self.candidates = list(candidates)
        found = note or f"{len(self.candidates)} found"
        self.said.emit(f"{found}: click one, or accept all" if self.candidates else found, False)
        self.drawn.emit()

    def candidate_at(self, x, y):
        """The best candidate at a pixel, None if there is none."""
        objects = Objects(self.place)
        objects.take({"changed": [{"id": n, "shape": one["shape"]} for n, one in enumerate(self.candidates)]})
        found = objects.at(x, y)
        return None if found is None else self.candidates[found]

    def accept_candidate(self, candidate):
        """Save one of the candidates."""
        self.candidates.remove(candidate)
        self._save([candidate["key"]], keep=True)

    # inside

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
        """The object in hand, then what lies under the pointer."""
        asked = [] if self.prompts.empty else [self.prompts]
        return asked + ([self._hovering()] if self.pointer and not self._accepting else [])

    def _previewed(self, asked, answer):
        mine = asked == self.prompts
        if not answer.get("ok"):
            if mine or answer.get("kind") not in ("outside", "nothing"):
                self._failed(answer)
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

    def _save(self, keys, keep=False):
        asked = self.prompts
        request = {"verb": "accept", "keys": keys, "class": self.current, "object": asked.object}
        if not keep:
            self.prompts, self.suggestion = Asked(), None
        self.change(request)

    def _accept_candidates(self):
        keys, self.candidates = [one["key"] for one in self.candidates], []
        self.change({"verb": "accept", "keys": keys, "class": self.current, "object": None, "each": True})

    def _under_pointer(self):
        number = self.objects.at(*self.pointer) if self.pointer else None
        if number is None:
            self.said.emit("no saved object under the pointer", False)
        return number

    def _inside(self, x, y):
        if not self.place.holds(x, y):
            self._outside()
            return False
        return True

    def _outside(self):
        self.said.emit("outside the scene: click on it", False)

    def _failed(self, answer):
        bad = answer.get("kind") not in ("outside", "nothing", "busy")
        self.said.emit(answer.get("error") or "geosam does not answer", bad)

    def _fetch_objects(self):
        def told(answer, _):
            if not answer.get("ok"):
                self._failed(answer)
                return
            self.objects.take(answer)
            if answer.get("more"):
                self._fetch_objects()
            else:
                self.drawn.emit()

        self.client.ask({"verb": "objects", "since": self.objects.revision}, told)
