"""Changes of saved objects: selecting, deleting, classes, joining, cutting, reopening."""

from .previews import Asked


class Editing:
    """What the hand does to objects that are saved; the server does it, and tells what has changed.

    Parameters
    ----------
    clicking
        The session.
    """

    def __init__(self, clicking):
        self._clicking = clicking

    def select(self):
        """Select the object under the pointer as well, or no longer."""
        number = self._here()
        if number is not None:
            selected = self._clicking.objects.selected
            (selected.discard if number in selected else selected.add)(number)
            self._clicking.said.emit(f"{len(selected)} selected", False)
            self._clicking.drawn.emit()

    def delete(self):
        """Delete what is selected, else the object under the pointer."""
        self._ask_for_some("delete")

    def classify(self):
        """Give what is selected the current class."""
        if self._clicking.objects.selected:
            self._ask_for_some("classify", **{"class": self._clicking.current})

    def join(self):
        """Make one object of those that are selected."""
        if len(self._clicking.objects.selected) < 2:
            self._clicking.said.emit("select two objects or more (V), then join them", False)
        else:
            self._ask_for_some("merge")

    def cut(self, line):
        """Cut the one selected object along a line of pixels, else the one that most of the line lies in."""
        objects = self._clicking.objects
        selected = sorted(objects.selected)
        if len(selected) != 1:
            middles = [((ax + bx) / 2, (ay + by) / 2) for (ax, ay), (bx, by) in zip(line, line[1:])]
            found = [objects.at(*place) for place in middles]
            selected = [number for number in found if number is not None]
        if len(line) < 2 or not selected:
            self._clicking.said.emit("a cut goes across a saved object: click two places or more, then Enter", False)
            return
        number = max(selected, key=selected.count)
        self._clicking.change({"verb": "split", "id": number, "line": [list(place) for place in line]})

    def reopen(self):
        """Take the object under the pointer into the hand again, with the prompts that it came from."""
        number, clicking = self._here(), self._clicking
        if number is None:
            return

        def reopened(answer, _):
            if not answer.get("ok"):
                clicking.failed(answer)
                return
            told = answer.get("prompts") or {}
            points = tuple(tuple(point) for point in told.get("points") or ())
            box, outline = told.get("box"), told.get("outline")
            outline = tuple(map(tuple, outline)) if outline else None
            clicking.said.emit(f"object {number} is open: correct it and accept", False)
            clicking.take_up(Asked(points, tuple(box) if box else None, outline, number))

        clicking.client.ask({"verb": "reopen", "id": number}, reopened)

    def _ask_for_some(self, verb, **how):
        selected = sorted(self._clicking.objects.selected)
        if not selected:
            here = self._here()
            selected = [] if here is None else [here]
        if selected:
            self._clicking.change({"verb": verb, "ids": selected, **how})

    def _here(self):
        pointer = self._clicking.pointer
        number = self._clicking.objects.at(*pointer) if pointer else None
        if number is None:
            self._clicking.said.emit("no saved object under the pointer", False)
        return number
