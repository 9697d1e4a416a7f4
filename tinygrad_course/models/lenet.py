"""LeNet-5, the network that read cheques.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition", Proceedings of
the IEEE 86(11), 2278-2324 (1998), section II-B and figure 2.  Layers have the names of the paper.

    layer   what                             output         parameters
    C1      6 filters of 5 x 5               6 @ 28 x 28           156
    S2      subsampling by 2                 6 @ 14 x 14             0
    C3      16 filters of 5 x 5             16 @ 10 x 10         2,416
    S4      subsampling by 2                16 @  5 x  5             0
    C5      all of S4 to 120 units                   120        48,120
    F6      fully connected                           84        10,164
    output  fully connected                           10           850
                                                       sum      61,706

Deviations, all usual today:
* ReLU in place of the scaled tanh 1.7159 tanh(2a/3): trains faster.
* Subsampling is the maximum of 2 x 2 pixels, without parameters.  In the paper: sum, coefficient, bias, squashing.
* C3 sees all 6 maps of S2.  In the paper each of its filters sees 3, 4 or 6 of them (table I; 1,516 parameters).
* The output is linear, for a softmax with cross-entropy.  In the paper: distances to fixed bitmaps of the characters.
* C5 is written as the linear layer that a 5 x 5 convolution over 5 x 5 pixels is; so images must be 32 x 32.
"""

from tinygrad_course import nn
from tinygrad_course.models.images import check_size
from tinygrad_course.nn import functional as F
from tinygrad_course.tensor import Tensor

IMAGE_SIZE = 32


class LeNet5(nn.Module):
    """Scores of `num_classes` classes for images of 32 x 32 pixels: (N, in_channels, 32, 32) -> (N, num_classes)."""

    def __init__(self, in_channels: int = 1, num_classes: int = 10) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.c1 = nn.Conv2d(in_channels, 6, kernel_size=5)
        self.s2 = nn.MaxPool2d(2)
        self.c3 = nn.Conv2d(6, 16, kernel_size=5)
        self.s4 = nn.MaxPool2d(2)
        self.c5 = nn.Linear(16 * 5 * 5, 120)
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, 32, 32) -> (N, num_classes).  Raises ShapeError for images of another size."""
        check_size(self, x, self.in_channels, IMAGE_SIZE, "; colour needs LeNet5(in_channels=3)")
        x = self.s2(F.relu(self.c1(x)))  # (N, 6, 28, 28) -> (N, 6, 14, 14)
        x = self.s4(F.relu(self.c3(x)))  # (N, 16, 10, 10) -> (N, 16, 5, 5)
        x = x.flatten(1)                 # (N, 400)
        x = F.relu(self.c5(x))           # (N, 120)
        x = F.relu(self.f6(x))           # (N, 84)
        return self.output(x)            # (N, num_classes)
