"""What a network is and what it sees: summaries, receptive fields."""

from tinygrad_course.interpret.field import ReceptiveField, receptive_field
from tinygrad_course.interpret.summary import summary

__all__ = ["ReceptiveField", "receptive_field", "summary"]
