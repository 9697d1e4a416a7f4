"""The rows of the course: one file per row, each with a `ROW` that runs the experiment and checks its facts."""

from tinygrad_course.course.row import Fact, Outcome, Row, Settings, equal, within

__all__ = ["Fact", "Outcome", "Row", "Settings", "equal", "within"]
