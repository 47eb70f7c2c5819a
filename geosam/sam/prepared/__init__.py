"""The networks as they are run: the functions of the readable modules, arranged for the machine.

`decoder` puts together `two_way` (attention folded into the tokens, `attention`, and its passes over the pixels,
`exchange`), `drawing` (what models whose prompts are drawn add) and `upscaling` (in `nesting` order); `workers` run it.
Each is tested to be its readable counterpart.
"""

from geosam.sam.prepared.decoder import Asked, PreparedDecoder, Question, View

__all__ = ["Asked", "PreparedDecoder", "Question", "View"]
