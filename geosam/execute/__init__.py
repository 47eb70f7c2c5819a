"""Run the work: in order and bounded, with what is done kept on disk, and with a progress bar.

* `run_in_order` and `prefetch` run work ahead on threads, never more than a bounded number of items.
* `Journal` keeps the result of each window on disk, so that a run that was interrupted goes on where it stopped.
* `Progress` says nothing, `Bar` draws a bar with the rate and the time left, `Lines` tell another program.
"""

from geosam.execute.journal import Journal
from geosam.execute.order import prefetch, run_in_order
from geosam.execute.progress import Bar, Lines, Progress, Stage, progress_bar

__all__ = ["Bar", "Journal", "Lines", "Progress", "Stage", "prefetch", "progress_bar", "run_in_order"]
