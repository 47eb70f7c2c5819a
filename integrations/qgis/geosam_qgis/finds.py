"""What the server finds by itself: a suggestion, candidates of a search, segments of the view."""

from .objects import Objects


class Finds:
    """What was found and may be saved, and what of it the user has picked.

    Attributes
    ----------
    suggestion
        ``key, shape`` of the object that the server doubts most, None if none is shown.
    candidates
        ``key, shape`` of each, the best first.
    picked
        Those that were clicked, in this order.
    together
        Whether those that are picked become one object, as segments do, or one each.
    """

    def __init__(self, place):
        self._place = place
        self.suggestion = None
        self.show(())

    def show(self, candidates, together=False):
        """Show these in place of others."""
        self.candidates, self.picked, self.together = list(candidates), [], together

    def at(self, x, y):
        """The smallest candidate at a pixel, None if there is none."""
        objects = Objects(self._place)
        objects.take({"changed": [{"id": n, "shape": one["shape"]} for n, one in enumerate(self.candidates)]})
        found = objects.at(x, y)
        return None if found is None else self.candidates[found]

    def pick(self, candidate):
        """Pick a candidate, or leave it again."""
        if candidate in self.picked:
            self.picked.remove(candidate)
        else:
            self.picked.append(candidate)

    def drop(self, candidates):
        """Show some no longer."""
        keys = {one["key"] for one in candidates}
        self.candidates = [one for one in self.candidates if one["key"] not in keys]
        self.picked = [one for one in self.picked if one["key"] not in keys]

    def clear(self):
        """Show nothing; tells whether there was anything."""
        had = bool(self.suggestion) or bool(self.candidates)
        self.suggestion = None
        self.show(())
        return had

    def wanted(self):
        """Candidates that accepting saves: those that are picked, else all; of segments only those that are picked."""
        return self.picked or ([] if self.together else self.candidates)
