"""The rows of the course: one file per row, each with a `ROW` that runs the experiment and checks its facts.

    from tinygrad_course.course import ROWS, Settings

    outcome = ROWS["E1"].run(Settings(seed=0))
    for fact in outcome.facts:
        print(fact)
    figure = outcome.figures["sobel"]()

On the command line: `tinygrad-course list`, `tinygrad-course run E1`, `tinygrad-course figures --all`.
"""

from tinygrad_course.course.registry import ROWS
from tinygrad_course.course.row import Fact, Outcome, Row, Settings, equal, within

__all__ = ["ROWS", "Fact", "Outcome", "Row", "Settings", "equal", "within"]
