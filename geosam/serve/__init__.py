"""The doors for a hand that clicks: a page on this machine, and a widget in a notebook, over one protocol.

`geosam.serve.Desk` answers requests (docs/protocol.md); `geosam.serve.web` carries them over a loopback socket,
`geosam.serve.widget` over the connection that a notebook has anyway. The front end lies in ``static``.

===========  =====================================================================
module       responsibility
===========  =====================================================================
requests     what a front end may send, field by field
shapes       polygons on their way to a front end and back
objects      objects, classes, and steps that can be undone
package      the session's GeoPackage as a database
session      the session on disk
layer        the objects as they are now
editing      split, merge, vertices with shared borders
warm         windows that are encoded, ahead of the hand
preview      from prompts to a shape
pictures     the scene in tiles
desk         `Desk`: verbs → answers
web          the page: loopback, token, origin, limits
===========  =====================================================================
"""

from geosam.serve.desk import Answer, Desk
from geosam.serve.layer import Layer
from geosam.serve.session import Session

__all__ = ["Answer", "Desk", "Layer", "Session"]
