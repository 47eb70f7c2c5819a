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
exporting    files in the colours of a legend or the layers of a schema
areas        parts of the scene that are looked at in the background
proposals    segments, more like this, words, what to look at next
workplace    what all verbs work with
showing, making, changing, proposing
             the verbs
desk         `Desk`: verbs → answers
start        from a scene to a desk
pairs        two dates as pictures
web          the page: loopback, token, origin, limits
widget       `geosam.click`, `geosam.view`: in a notebook
===========  =====================================================================
"""

from geosam.serve.desk import Desk
from geosam.serve.layer import Layer
from geosam.serve.session import Session
from geosam.serve.workplace import Answer

__all__ = ["Answer", "Desk", "Layer", "Session"]
