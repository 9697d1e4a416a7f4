"""`python -m tinygrad_course` is the command `tinygrad-course`."""

import sys

from tinygrad_course.cli import main

sys.exit(main())
