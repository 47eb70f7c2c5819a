#!/usr/bin/env python3
"""A geosam without networks: ``serve`` answers with octagons around clicks, so that the map tool can be tried alone.

Speaks version 1 of the protocol as far as the plugin uses it. Everything else is handed to the program that
``GEOSAM_REAL`` names.
"""

import json
import math
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RADIUS_PX = 20
CLASSES = [{"code": 1, "name": "building", "color": "#d03030"}, {"code": 2, "name": "tree", "color": "#20a040"}]


class Session:
    """Objects in memory; undo keeps whole states."""

    def __init__(self):
        self.objects, self.past, self.future = {}, [], []
        self.previews, self.last, self.revision, self.asked = {}, 0, 0, []

    def answer(self, request):
        verb = request.pop("verb")
        self.asked.append(verb)
        return getattr(self, verb)(**request)

    def hello(self):
        size = json.loads(os.environ.get("FAKE_SCENE", '{"width": 1024, "height": 1024}'))
        can = {
            "text": True,
            "similar": True,
            "coverage": True,
            "suggest": True,
            "export": ["gpkg"],
            "schemas": ["plain"],
        }
        return {
            "ok": True,
            "protocol": 1,
            "version": "fake",
            "mode": "edit",
            "scene": {"name": "fake", **size},
            "classes": CLASSES,
            "legend_open": True,
            "can": can,
            "counts": self.counts(),
            "revision": 0,
            "can_undo": False,
            "can_redo": False,
            "session": "fake.gpkg",
        }

    def preview(self, points, box, outline, object, seq, hover):
        time.sleep(0.02)
        added = [(x, y) for x, y, label in points if label]
        if box:
            x0, y0, x1, y1 = box
            ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
        elif added:
            x, y = added[0]
            r = RADIUS_PX + 5 * len(points)
            turns = [2 * math.pi * k / 8 for k in (*range(8), 0)]
            ring = [[x + r * math.cos(turn), y + r * math.sin(turn)] for turn in turns]
        else:
            return {"ok": True, "seq": seq, "key": None, "shape": None, "score": 0, "exact": True}
        key = f"k{len(self.previews)}"
        self.previews[key] = {"type": "Polygon", "coordinates": [ring]}
        prompts = {"points": points, "box": box, "outline": outline}
        self.previews[key + "p"] = prompts
        coarse = len(self.previews) == 2  # the first answer is a coarse one
        told = {"again_ms": 50} if coarse else {}
        return {
            "ok": True,
            "seq": seq,
            "key": key,
            "shape": self.previews[key],
            "score": 0.9,
            "exact": not coarse,
            **told,
        }

    def accept(self, keys, object=None, each=False, **how):
        before = dict(self.objects)
        for key in keys if each else keys[:1]:
            number = object
            if number is None:
                number = self.last = self.last + 1
            row = {"id": number, "class": how["class"], "score": 0.9, "shape": self.previews[key], "origin": "click"}
            self.objects[number] = {**row, "prompts": self.previews.get(key + "p")}
        return self.done(before, f"accepted {len(keys)} object")

    def delete(self, ids):
        before = dict(self.objects)
        for number in ids:
            del self.objects[number]
        return self.done(before, f"deleted {len(ids)} object")

    def classify(self, ids, **how):
        before = dict(self.objects)
        for number in ids:
            self.objects[number] = {**self.objects[number], "class": how["class"]}
        return self.done(before, "classified")

    def undo(self):
        if not self.past:
            return {"ok": False, "kind": "nothing", "error": "nothing to undo"}
        before, self.objects = self.objects, self.past.pop()
        self.future.append(before)
        return self.change(before, "undone")

    def redo(self):
        if not self.future:
            return {"ok": False, "kind": "nothing", "error": "nothing to redo"}
        before, self.objects = self.objects, self.future.pop()
        self.past.append(before)
        return self.change(before, "redone")

    def reopen(self, id):
        return {"ok": True, "prompts": self.objects[id]["prompts"], "shape": self.objects[id]["shape"]}

    def objects_since(self, since=0):
        return {
            "ok": True,
            "changed": list(self.objects.values()),
            "removed": [],
            "counts": self.counts(),
            "revision": self.revision,
            "can_undo": bool(self.past),
            "can_redo": bool(self.future),
            "more": False,
        }

    def similar(self, ids, limit):
        shape = self.objects[ids[0]]["shape"]["coordinates"][0]
        found = []
        for number in range(1, 4):
            key = f"c{number}"
            self.previews[key] = {"type": "Polygon", "coordinates": [[[x + 60 * number, y] for x, y in shape]]}
            found.append({"key": key, "shape": self.previews[key], "score": 0.5, "label": ""})
        return {"ok": True, "candidates": found, "done": True}

    def coverage(self, bounds):
        x0, y0, x1, y1 = bounds
        found = []
        for number in range(4):
            left, right = (x0 + (x1 - x0) * at / 4 for at in (number, number + 1))
            key = f"s{number}"
            ring = [[left, y0], [right, y0], [right, y1], [left, y1], [left, y0]]
            self.previews[key] = {"type": "Polygon", "coordinates": [ring]}
            found.append({"key": key, "shape": self.previews[key]})
        again, self.covered = not getattr(self, "covered", False), True  # the first answer is half of it
        return {"ok": True, "segments": found[:2] if again else found, "done": not again, "again_ms": 50}

    def merge(self, ids):
        before = dict(self.objects)
        for number in ids[1:]:
            del self.objects[number]
        return self.done(before, f"joined {len(ids)}")

    def split(self, id, line):
        before = dict(self.objects)
        self.last += 1
        self.objects[self.last] = {**self.objects[id], "id": self.last}
        return self.done(before, "cut in two")

    def reject(self, key):
        return {"ok": True}

    def done(self, before, did):
        self.past.append(before)
        self.future = []
        return self.change(before, did)

    def change(self, before, did):
        self.revision += 1
        changed = [row for number, row in self.objects.items() if before.get(number) != row]
        removed = [number for number in before if number not in self.objects]
        return {
            "ok": True,
            "changed": changed,
            "removed": removed,
            "counts": self.counts(),
            "revision": self.revision,
            "can_undo": bool(self.past),
            "can_redo": bool(self.future),
            "did": did,
        }

    def counts(self):
        found = {"": 0}
        for row in self.objects.values():
            code = "" if row["class"] is None else str(row["class"])
            found[code] = found.get(code, 0) + 1
        return found


def serve():
    token, session = "t0ken", Session()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Authorization") != f"Bearer {token}":
                self.say(401, {"ok": False, "kind": "input", "error": "wrong token"})
                return
            request = json.loads(content)
            if request["verb"] == "objects":
                request["verb"] = "objects_since"
            self.say(200, session.answer(request))

        def say(self, code, answer):
            content = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}/?token={token}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve()
    elif "GEOSAM_REAL" in os.environ:
        os.execv(os.environ["GEOSAM_REAL"], [os.environ["GEOSAM_REAL"], *sys.argv[1:]])
    elif sys.argv[1:] == ["--version"]:
        print("geosam 0.0.0")
