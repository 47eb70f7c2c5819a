"""Pages that people look at: maps of a situation, pages with a before/after swipe.

===========  =================================================================================
module       responsibility
===========  =================================================================================
ground       a pair's pictures, small enough for a page
situation    the situation map: PDF or PNG, with all that responders expect around it
swipe        an HTML page on which before and after are compared
===========  =================================================================================
"""

from geosam.sheets.situation import MAP_FORMATS, Titles, situation_map
from geosam.sheets.swipe import PAGE_FORMATS, swipe_page

__all__ = ["MAP_FORMATS", "PAGE_FORMATS", "Titles", "situation_map", "swipe_page"]
