"""A kernel without a network: a widget, messages as lines on stdin, its answers as lines on stdout.

python kernel.py SCENE SESSION
"""

import base64
import json
import os
import sys
from typing import Any


def forbid(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith("socket."):
        raise PermissionError(f"{event}: a widget needs no socket")


def main() -> None:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what is printed by others is no message
    sys.addaudithook(forbid)
    import geosam

    def say(content: dict[str, Any], buffers: list[Any] | None = None) -> None:
        coded = [base64.b64encode(bytes(buffer)).decode() for buffer in buffers or []]
        print(json.dumps({"content": content, "buffers": coded}), file=out, flush=True)

    widget = geosam.click(geosam.open_scene(sys.argv[1]), session=sys.argv[2], store=None)
    widget.send = say
    state = {"start": widget.start, "height": widget.height}
    print(json.dumps({"esm": str(widget._esm), "css": str(widget._css), "state": state}), file=out, flush=True)
    for line in sys.stdin:
        widget._handle_custom_msg(json.loads(line), [])
    widget.close()


if __name__ == "__main__":
    main()
