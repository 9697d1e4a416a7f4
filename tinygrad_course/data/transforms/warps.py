"""Rotation, affine maps, perspective and elastic distortion."""

import math
from collections.abc import Sequence

import numpy as np

from tinygrad_course.data.transforms.base import Operation, Transform, between, check_probability, check_range, uniforms
from tinygrad_course.data.transforms.geometry import check_interpolation
from tinygrad_course.data.transforms.operations import Displacement, Projection, QuarterTurns, around, corners
from tinygrad_course.data.transforms.sampling import Fill, InterpolationMode, gaussian_blur
from tinygrad_course.errors import DataError
from tinygrad_course.ops.creation import rand
from tinygrad_course.ops.dtypes import float32
from tinygrad_course.ops.random import Generator

Centre = Sequence[float]
_ROUNDING = 1e-4  # pixels; what an expanded image may be short of


def affine_matrix(angle: float, translate: tuple[float, float], scale: float, shear: tuple[float, float],
                  centre: Centre) -> np.ndarray:
    """Where a point (x, y, 1) goes: a 3 x 3 matrix.

    Shear by the angle s_y along y and by s_x along x, turn by `angle`, scale; all about `centre`; then shift by `translate`.
    Angles in degrees, clockwise on the screen, where y points down:

        p -> scale R(angle) [[1, 0], [-tan s_y, 1]] [[1, -tan s_x], [0, 1]] (p - centre) + centre + translate
    """
    a, s_x, s_y = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    rotation = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    linear = scale * rotation @ [[1, 0], [-math.tan(s_y), 1]] @ np.array([[1, -math.tan(s_x)], [0, 1]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = np.add(centre, translate) - linear @ centre
    return matrix


def perspective_matrix(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The 3 x 3 matrix that takes four points `start` (4, 2) to `end` (4, 2): with m_33 = 1 eight linear equations."""
    equations, known = np.zeros((8, 8)), np.asarray(end, dtype=np.float64).reshape(8)
    for row, ((x, y), (u, v)) in enumerate(zip(start, end, strict=True)):
        equations[2 * row] = [x, y, 1, 0, 0, 0, -u * x, -u * y]
        equations[2 * row + 1] = [0, 0, 0, x, y, 1, -v * x, -v * y]
    return np.append(np.linalg.solve(equations, known), 1).reshape(3, 3)


def _angles(caller: str, name: str, value: float | Sequence[float]) -> tuple[float, float]:
    """(low, high) from a largest angle to both sides, or from two angles."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise DataError(f"{caller}: {name}={value}. Give the largest angle, at least 0, or (smallest, largest).")
        return -float(value), float(value)
    return check_range(caller, name, value)


class RandomRotation(Transform):
    """A turn about the centre by an angle from `degrees` = (low, high), or (-degrees, degrees); to the left if positive.

    expand     the result is large enough for the whole turned image; the centre then makes no difference
    center     (x, y) of the centre in pixels from the upper left corner; the middle of the image without it
    fill       value outside the image, or one per channel; mask_fill that of masks
    Multiples of 90 degrees about the middle are exact: no value between pixels is needed (if the image is square, or expand).
    """

    def __init__(self, degrees: float | Sequence[float], interpolation: str = InterpolationMode.BILINEAR,
                 expand: bool = False, center: Centre | None = None, fill: Fill = 0, *, mask_fill: float = 0,
                 generator: Generator | None = None) -> None:
        self.degrees = _angles("RandomRotation", "degrees", degrees)
        self.interpolation = check_interpolation("RandomRotation", interpolation)
        self.expand = expand
        self.center = center
        self.fill = fill
        self.mask_fill = mask_fill
        self.generator = generator

    def draw(self, height: int, width: int) -> Operation:
        angle = between(*self.degrees, uniforms(1, self.generator)[0])
        turns, rest = divmod(angle, 90)
        middle = (width / 2, height / 2)
        about_middle = self.expand or self.center is None or tuple(self.center) == middle
        if not rest and about_middle and (self.expand or height == width or turns % 2 == 0):
            return QuarterTurns(int(turns) % 4, height, width)
        matrix = affine_matrix(-angle, (0, 0), 1, (0, 0), middle if self.expand or self.center is None else self.center)
        if self.expand:
            reach = around(corners(np.array([[0, 0, width, height]])) @ matrix[:2, :2].T + matrix[:2, 2])[0]  # x1, y1, x2, y2
            first, end = np.floor(reach[:2] + _ROUNDING), np.ceil(reach[2:] - _ROUNDING)  # whole pixels, as in torchvision
            width, height = (end - first).astype(int).tolist()
            matrix[:2, 2] += [width / 2, height / 2] - (reach[:2] + reach[2:]) / 2
        return Projection(height=height, width=width, interpolation=self.interpolation, fill=self.fill,
                          mask_fill=self.mask_fill, matrix=matrix)


class RandomAffine(Transform):
    """A turn, a shift, a change of size and a shear, each by a random amount; the size of the image stays.

    degrees    range of angles, clockwise, or the largest one to either side
    translate  (across, down): largest shift to either side, as shares of width and height; no shift without it
    scale      (low, high), range of factors; 1 without it
    shear      range of angles along x, or the largest to either side; four numbers: along x and along y
    fill, mask_fill, center  as in RandomRotation
    train.RandomAffine does the like with whole batches of tensors.
    """

    def __init__(self, degrees: float | Sequence[float], translate: Sequence[float] | None = None,
                 scale: Sequence[float] | None = None, shear: float | Sequence[float] | None = None,
                 interpolation: str = InterpolationMode.BILINEAR, fill: Fill = 0, center: Centre | None = None, *,
                 mask_fill: float = 0, generator: Generator | None = None) -> None:
        name = "RandomAffine"
        if translate is not None and (len(translate) != 2 or not all(0 <= share <= 1 for share in translate)):
            raise DataError(f"{name}: translate={translate}. Give two shares of width and height, 0 to 1.")
        self.degrees = _angles(name, "degrees", degrees)
        self.translate = translate
        self.scale = None if scale is None else check_range(name, "scale", scale, 1e-6)
        shears = shear if isinstance(shear, Sequence) and len(shear) == 4 else None
        self.shear_x = (0.0, 0.0) if shear is None else _angles(name, "shear", shear if shears is None else shears[:2])
        self.shear_y = (0.0, 0.0) if shears is None else check_range(name, "shear", shears[2:])
        self.interpolation = check_interpolation(name, interpolation)
        self.fill = fill
        self.center = center
        self.mask_fill = mask_fill
        self.generator = generator

    def draw(self, height: int, width: int) -> Operation:
        angle, right, down, scale, shear_x, shear_y = uniforms(6, self.generator)
        most_right, most_down = (0, 0) if self.translate is None else self.translate
        # Whole pixels, as in torchvision: a shift alone then needs no values between pixels.
        shift = round(between(-1, 1, right) * most_right * width), round(between(-1, 1, down) * most_down * height)
        matrix = affine_matrix(between(*self.degrees, angle), shift, 1 if self.scale is None else between(*self.scale, scale),
                               (between(*self.shear_x, shear_x), between(*self.shear_y, shear_y)),
                               (width / 2, height / 2) if self.center is None else self.center)
        return Projection(height=height, width=width, interpolation=self.interpolation, fill=self.fill,
                          mask_fill=self.mask_fill, matrix=matrix)


class RandomPerspective(Transform):
    """With probability p the image as seen from aside: each corner moves inwards by a random amount, at most
    distortion_scale / 2 of width and of height.  fill, mask_fill as in RandomRotation."""

    def __init__(self, distortion_scale: float = 0.5, p: float = 0.5, interpolation: str = InterpolationMode.BILINEAR,
                 fill: Fill = 0, *, mask_fill: float = 0, generator: Generator | None = None) -> None:
        if not 0 <= distortion_scale < 1:
            raise DataError(f"RandomPerspective: distortion_scale={distortion_scale}. Give 0 or more, and less than 1, where "
                            "all corners could meet.")
        self.distortion_scale = distortion_scale
        self.p = check_probability("RandomPerspective", p)
        self.interpolation = check_interpolation("RandomPerspective", interpolation)
        self.fill = fill
        self.mask_fill = mask_fill
        self.generator = generator

    def draw(self, height: int, width: int) -> Operation | None:
        chance, *moves = uniforms(9, self.generator)
        if chance >= self.p:
            return None
        start = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)
        inwards = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [width, height]
        end = start + inwards * (self.distortion_scale / 2) * np.reshape(moves, (4, 2))
        return Projection(height=height, width=width, interpolation=self.interpolation, fill=self.fill,
                          mask_fill=self.mask_fill, matrix=perspective_matrix(start, end))


class ElasticTransform(Transform):
    """Every pixel comes from somewhere near: a random field of arrows, smoothed.

        d = alpha / 2 . (G_sigma * n),   n uniform in [-1, 1) for each pixel, once for x and once for y

    alpha  twice the length of the arrows in pixels before smoothing (torchvision's measure); or two, for x and y
    sigma  width of the Gaussian in pixels; or two, along x and along y; 0 does not smooth
    fill, mask_fill  as in RandomRotation
    P. Simard, D. Steinkraus, J. Platt, "Best practices for convolutional neural networks applied to visual document
    analysis", ICDAR 2003, section 2.
    """

    def __init__(self, alpha: float | Sequence[float] = 50.0, sigma: float | Sequence[float] = 5.0,
                 interpolation: str = InterpolationMode.BILINEAR, fill: Fill = 0, *, mask_fill: float = 0,
                 generator: Generator | None = None) -> None:
        self.alpha = _pair("alpha", alpha)
        self.sigma = _pair("sigma", sigma)
        self.interpolation = check_interpolation("ElasticTransform", interpolation)
        self.fill = fill
        self.mask_fill = mask_fill
        self.generator = generator

    def draw(self, height: int, width: int) -> Operation:
        arrows = 2 * rand(2, height, width, dtype=float32, generator=self.generator).numpy() - 1  # x and y
        taps = [int(8 * sigma + 1) | 1 for sigma in self.sigma]
        arrows = gaussian_blur(arrows, (taps[0], taps[1]), self.sigma)
        arrows *= np.reshape(self.alpha, (2, 1, 1)).astype(arrows.dtype) / 2
        return Displacement(height=height, width=width, interpolation=self.interpolation, fill=self.fill,
                            mask_fill=self.mask_fill, offsets=arrows)


def _pair(name: str, value: float | Sequence[float]) -> tuple[float, float]:
    pair = (value, value) if isinstance(value, (int, float)) else tuple(value)
    if len(pair) != 2 or min(pair) < 0:
        raise DataError(f"ElasticTransform: {name}={value}. Give a number of at least 0, or two: for x and y.")
    return float(pair[0]), float(pair[1])
