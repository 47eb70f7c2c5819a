"""What segments look like: a table of numbers, a row for each segment.

`measure_features` reads the scene once, strip by strip; a value does not depend on how the strips lie. What the
columns mean is in `geosam.features.table`.

============  =========================================================================================
module        responsibility
============  =========================================================================================
roles         which band is red, near infrared, …
indices       NDVI and its like, pixel by pixel
burning       the segments as rows of numbers
levels        a band's values in 256 levels, for quantiles and texture
statistics    mean, standard deviation and quantiles of each band in each segment
texture       how much pixels differ from those beside them
neighbours    which segments touch, over how long a border
shape         how large, how long, how jagged
table         all of it, and what the columns mean
============  =========================================================================================
"""

from geosam.features.roles import ROLES, parse_roles
from geosam.features.table import RECOGNITION, FeatureOptions, measure_features

__all__ = ["RECOGNITION", "ROLES", "FeatureOptions", "measure_features", "parse_roles"]
