"""The networks as they are run: the functions of the readable modules, arranged for the machine.

`decoder` puts together `two_way` (attention folded into the tokens, `attention`, and its passes over the pixels,
`exchange`) and `upscaling` (in `nesting` order); `workers` run it.
Each is tested to be its readable counterpart.
"""

from geosam.sam.prepared.decoder import Attended, Drawing, PreparedDecoder, Question, View

__all__ = ["Attended", "Drawing", "PreparedDecoder", "Question", "View"]
