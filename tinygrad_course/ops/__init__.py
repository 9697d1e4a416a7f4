"""Every operation: one class each, with its shape rule, forward and backward, and the function that applies it.

The names in the `__all__` of these modules are the functions of the package.
"""

from types import ModuleType as _ModuleType

from tinygrad_course.ops.activation import *
from tinygrad_course.ops.arithmetic import *
from tinygrad_course.ops.attention import *
from tinygrad_course.ops.cast import *
from tinygrad_course.ops.choice import *
from tinygrad_course.ops.comparison import *
from tinygrad_course.ops.conv import *
from tinygrad_course.ops.creation import *
from tinygrad_course.ops.ctc import *
from tinygrad_course.ops.diagonal import *
from tinygrad_course.ops.distance import *
from tinygrad_course.ops.divergence import *
from tinygrad_course.ops.dropout import *
from tinygrad_course.ops.dtypes import *
from tinygrad_course.ops.embedding import *
from tinygrad_course.ops.factor import *
from tinygrad_course.ops.functions import *
from tinygrad_course.ops.gates import *
from tinygrad_course.ops.huber import *
from tinygrad_course.ops.index import *
from tinygrad_course.ops.join import *
from tinygrad_course.ops.like import *
from tinygrad_course.ops.linalg import *
from tinygrad_course.ops.loss import *
from tinygrad_course.ops.lu import *
from tinygrad_course.ops.margin_loss import *
from tinygrad_course.ops.norm import *
from tinygrad_course.ops.norms import *
from tinygrad_course.ops.order import *
from tinygrad_course.ops.pad import *
from tinygrad_course.ops.piecewise import *
from tinygrad_course.ops.pool import *
from tinygrad_course.ops.predicates import *
from tinygrad_course.ops.products import *
from tinygrad_course.ops.random import *
from tinygrad_course.ops.recurrent import *
from tinygrad_course.ops.reduce import *
from tinygrad_course.ops.regression_loss import *
from tinygrad_course.ops.resize import *
from tinygrad_course.ops.rounding import *
from tinygrad_course.ops.sampling import *
from tinygrad_course.ops.scan import *
from tinygrad_course.ops.scatter import *
from tinygrad_course.ops.shape import *
from tinygrad_course.ops.smooth import *
from tinygrad_course.ops.softmax import *
from tinygrad_course.ops.solve import *
from tinygrad_course.ops.special import *
from tinygrad_course.ops.statistics import *
from tinygrad_course.ops.trigonometry import *
from tinygrad_course.ops.unfold import *
from tinygrad_course.ops.unpool import *

# Not the modules themselves: `tinygrad_course.linalg` is another one than the module of that name here.
__all__ = [name for name, value in list(globals().items()) if name[0] != "_" and not isinstance(value, _ModuleType)]
