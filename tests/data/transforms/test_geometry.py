"""Flips, crops, frames, sizes and warps: by hand, against torchvision, and image, mask and boxes against each other."""

import numpy as np
import pytest
from scipy import ndimage

import tinygrad_course as tgc
from tests.models.torchvision_oracle import torchvision_or_skip
from tests.nn.torch_oracle import torch_or_skip
from tinygrad_course.data import transforms as T
from tinygrad_course.data.transforms.operations import Displacement, Projection
from tinygrad_course.data.transforms.warps import perspective_matrix

PICTURE = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)


def seeded(seed=0):
    return tgc.Generator().manual_seed(seed)


def make_sample(seed=0, height=40, width=56):
    """An image with three bright blobs, their masks and exact boxes."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((3, height, width), bool)
    y, x = np.mgrid[:height, :width]
    for mask, cy, cx in zip(masks, rng.uniform(8, height - 8, 3), rng.uniform(8, width - 8, 3), strict=True):
        mask[:] = ((y - cy) / 6) ** 2 + ((x - cx) / 4) ** 2 < 1
    image = np.where(masks.any(axis=0)[..., None], rng.integers(100, 256, (height, width, 3)), 0).astype(np.uint8)
    boxes = np.array([box_of(mask) for mask in masks])
    return {"image": image, "mask": masks.any(axis=0).astype(np.uint8), "masks": masks, "boxes": boxes,
            "labels": np.array([7, 8, 9]), "name": "blobs"}


def box_of(mask):
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


EXACT = [T.RandomHorizontalFlip(1), T.RandomVerticalFlip(1), T.CenterCrop((20, 30)), T.RandomCrop(24, generator=seeded(1)),
         T.RandomCrop((44, 60), padding=5, generator=seeded(2)), T.Pad((1, 2, 3, 4)), T.RandomRotation((180, 180)),
         T.RandomRotation((-90, -90), expand=True), T.Resize((80, 112), "nearest")]
WARPED = [T.RandomRotation(40, generator=seeded(3)), T.RandomRotation(40, expand=True, generator=seeded(4)),
          T.RandomAffine(30, (0.1, 0.1), (0.8, 1.2), 15, generator=seeded(5)),
          T.RandomPerspective(0.4, 1, generator=seeded(6)), T.ElasticTransform(80.0, 6.0, generator=seeded(7)),
          T.Resize(64), T.Resize((31, 90)),
          T.RandomResizedCrop(32, generator=seeded(8)), T.ScaleJitter((48, 48), (0.8, 1.5), generator=seeded(9))]


@pytest.mark.parametrize("transform", EXACT + WARPED, ids=lambda transform: type(transform).__name__)
def test_image_mask_and_boxes_stay_together(transform):
    for seed in range(4):
        before = make_sample(seed)
        after = transform(before)
        image, mask = after["image"], after["mask"]
        assert image.shape[:2] == mask.shape == after["masks"].shape[1:]
        assert (image.dtype, mask.dtype, after["masks"].dtype) == (np.uint8, np.uint8, bool)
        bright = image.max(axis=2) > (0 if transform in EXACT else 80)
        same = (bright == (mask > 0)).mean()
        assert same == 1 if transform in EXACT else same > 0.95
        np.testing.assert_array_equal(after["masks"].any(axis=0)[mask > 0], True)
        assert after["name"] == "blobs"
        assert len(after["boxes"]) == len(after["labels"]) == len(after["masks"])
        for box, label, own in zip(after["boxes"], after["labels"], after["masks"], strict=True):
            # Who was dropped can be told by the label: the others are still with their own mask.
            assert own.sum() > 0.3 * before["masks"][label - 7].sum() or not own.any() or _cut(own)
            if own.any():
                x1, y1, x2, y2 = box_of(own)
                assert box[0] <= x1
                assert box[1] <= y1
                assert x2 <= box[2] <= image.shape[1]
                assert y2 <= box[3] <= image.shape[0]
                if transform in EXACT:
                    assert box.tolist() == [x1, y1, x2, y2] or _cut(own)


def _cut(mask):
    """Whether the edge of the image cuts through it: a part may be missing then, and the box of the rest be too large."""
    return mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()


def test_flips_crops_and_frames_by_hand():
    boxes = np.array([[0, 0, 1, 2], [1, 1, 3, 2]])
    sample = {"image": PICTURE, "boxes": boxes}
    for transform, image, expected in [
            (T.RandomHorizontalFlip(1), [[3, 2, 1], [6, 5, 4]], [[2, 0, 3, 2], [0, 1, 2, 2]]),
            (T.RandomVerticalFlip(1), [[4, 5, 6], [1, 2, 3]], [[0, 0, 1, 2], [1, 0, 3, 1]]),
            (T.CenterCrop((1, 1)), [[2]], []),
            (T.CenterCrop((2, 1)), [[2], [5]], [[0, 1, 1, 2]]),
            (T.Pad((1, 0), 9), [[9, 1, 2, 3, 9], [9, 4, 5, 6, 9]], [[1, 0, 2, 2], [2, 1, 4, 2]]),
            (T.Pad((1, 0, 0, 1), padding_mode="edge"), [[1, 1, 2, 3], [4, 4, 5, 6], [4, 4, 5, 6]],
             [[1, 0, 2, 2], [2, 1, 4, 2]]),
            (T.RandomRotation((90, 90), expand=True), [[3, 6], [2, 5], [1, 4]], [[0, 2, 2, 3], [1, 0, 2, 2]]),
            (T.RandomRotation((-90, -90), expand=True), [[4, 1], [5, 2], [6, 3]], [[0, 0, 2, 1], [0, 1, 1, 3]]),
            (T.RandomRotation((180, 180)), [[6, 5, 4], [3, 2, 1]], [[2, 0, 3, 2], [0, 0, 2, 1]]),
            (T.Resize((4, 3), "nearest"), [[1, 2, 3], [1, 2, 3], [4, 5, 6], [4, 5, 6]], [[0, 0, 1, 4], [1, 2, 3, 4]])]:
        result = transform(sample)
        assert result["image"].tolist() == image, transform
        assert result["boxes"].tolist() == expected, transform


@pytest.mark.parametrize("degrees", [90, 180, 270, -90, 360])
def test_quarter_turns_of_squares_are_exact(degrees):
    image = np.random.default_rng(0).random((17, 17, 3))
    turned = T.RandomRotation((degrees, degrees))(image)
    np.testing.assert_array_equal(turned, np.rot90(image, degrees // 90))


def test_boxes_are_clipped_and_dropped_with_labels_and_masks():
    image = np.zeros((10, 10), np.float32)
    masks = np.arange(3)[:, None, None] * np.ones((10, 10), np.int64)
    boxes = tgc.tensor([[0.0, 0, 2, 2], [2.5, 3, 8, 9], [0, 0, 0, 0]])
    result = T.CenterCrop(4)((image, {"boxes": boxes, "labels": ["a", "b", "none"], "masks": masks}))
    assert result[1]["boxes"].tolist() == [[0, 0, 4, 4]]
    assert result[1]["labels"] == ["b"]
    assert result[1]["masks"].tolist() == np.ones((1, 4, 4)).tolist()
    assert isinstance(result[1]["boxes"], tgc.Tensor)


def test_whole_boxes_are_rounded_outwards():
    whole = {"image": np.zeros((10, 10)), "boxes": np.array([[1, 1, 3, 4]])}
    assert T.Resize(15)(whole)["boxes"].tolist() == [[1, 1, 5, 6]]
    assert T.Resize(15)(whole | {"boxes": np.array([[1.0, 1, 3, 4]])})["boxes"].tolist() == [[1.5, 1.5, 4.5, 6.0]]


@pytest.mark.parametrize("transform", EXACT + WARPED, ids=lambda transform: type(transform).__name__)
def test_rows_without_an_object_are_dropped(transform):
    boxes = np.array([[0, 0, 0, 0], [14, 10, 44, 30], [5, 20, 5, 20]])
    result = transform({"image": np.zeros((40, 56, 3)), "boxes": boxes, "labels": np.array([-1, 4, -1])})
    assert result["labels"].tolist() == [4]
    assert result["boxes"].shape == (1, 4)


def test_fill_and_mask_fill():
    sample = {"image": np.ones((8, 8, 3), np.uint8), "mask": np.ones((8, 8), np.int64)}
    for transform in (T.Pad(2, (10, 20, 30), mask_fill=-100), T.RandomRotation((45, 45), fill=(10, 20, 30), mask_fill=-100),
                      T.RandomCrop(12, pad_if_needed=True, fill=(10, 20, 30), mask_fill=-100)):
        result = transform(sample)
        assert result["image"][0, 0].tolist() == [10, 20, 30]
        assert result["mask"][0, 0] == -100
        assert set(np.unique(result["mask"])) == {-100, 1}
    for mode, left in [("reflect", 3), ("symmetric", 2)]:
        assert T.Pad((2, 0, 0, 0), padding_mode=mode)(PICTURE)[0, 0] == left


def test_rotation_against_scipy():
    image = np.random.default_rng(0).random((20, 30))
    ours = T.RandomRotation((25, 25))(image)
    angle = np.radians(25)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # (row, column), output to input
    padded, centre = np.pad(image, 20), np.array([9.5, 14.5])
    theirs = ndimage.affine_transform(padded, matrix, centre + 20 - matrix @ (centre + 20), order=1)[20:-20, 20:-20]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_an_expanded_rotation_holds_the_whole_image():
    image = np.ones((20, 31))
    turned = T.RandomRotation((30, 30), expand=True)(image)
    # 20 cos 30 + 31 sin 30 = 32.8 rows about 10, from -6.4 to 26.4; 20 sin 30 + 31 cos 30 = 36.8 columns, from -2.9 to 33.9
    assert turned.shape == (34, 37)
    assert abs(turned.sum() - image.sum()) < 0.01 * image.sum()


class TestAgainstTorchvision:
    @pytest.fixture(autouse=True)
    def _functional(self):
        self.tv = torchvision_or_skip()
        self.torch = torch_or_skip()
        from torchvision import tv_tensors
        from torchvision.transforms.v2 import functional
        self.F = functional
        self.image = np.random.default_rng(0).random((3, 20, 26))
        self.boxes = np.array([[2.0, 3, 9, 12], [10, 1, 24, 8.5], [12, 12, 13, 19]])
        self.theirs = self.torch.from_numpy(self.image)
        self.their_boxes = tv_tensors.BoundingBoxes(self.torch.from_numpy(self.boxes), format="XYXY", canvas_size=(20, 26))

    def compare(self, transform, theirs, **settings):
        result = transform({"image": tgc.from_numpy(self.image), "boxes": self.boxes})
        np.testing.assert_allclose(result["image"].numpy(), theirs(self.theirs, **settings).numpy(), atol=1e-6)
        boxes = self.F.clamp_bounding_boxes(theirs(self.their_boxes, **settings))
        boxes = boxes.numpy()[((boxes[:, 2:] - boxes[:, :2]) > 1e-6).all(dim=1).numpy()]  # torchvision keeps empty ones
        np.testing.assert_allclose(result["boxes"], boxes, atol=1e-5)

    def test_flips_crops_frames_and_sizes(self):
        self.compare(T.RandomHorizontalFlip(1), self.F.horizontal_flip)
        self.compare(T.RandomVerticalFlip(1), self.F.vertical_flip)
        self.compare(T.CenterCrop((16, 25)), self.F.center_crop, output_size=[16, 25])
        self.compare(T.Pad((1, 2, 3, 4), 0.5), self.F.pad, padding=[1, 2, 3, 4], fill=0.5)
        for mode in ("edge", "reflect", "symmetric"):
            np.testing.assert_array_equal(T.Pad((1, 2, 3, 4), padding_mode=mode)(tgc.from_numpy(self.image)).numpy(),
                                          self.F.pad(self.theirs, [1, 2, 3, 4], padding_mode=mode).numpy())
        for size, more in [((11, 40), {}), (31, {}), (13, {"max_size": 15}), (None, {"max_size": 50}),
                           (14, {"antialias": False})]:
            theirs = list(size) if isinstance(size, tuple) else None if size is None else [size]
            self.compare(T.Resize(size, **more), self.F.resize, size=theirs, **more)

    @pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
    def test_rotation_and_affine(self, interpolation):
        mode = {"interpolation": self.tv.transforms.InterpolationMode(interpolation)}
        for angle, center in [(30, None), (-77, [4.0, 15.0]), (200, None)]:
            self.compare(T.RandomRotation((angle, angle), interpolation, center=center), self.F.rotate, angle=angle,
                         center=center, **mode)
        # Without boxes: torchvision shifts them otherwise than the image, by 0.65 pixels here.
        np.testing.assert_allclose(T.RandomRotation((33, 33), interpolation, expand=True)(tgc.from_numpy(self.image)).numpy(),
                                   self.F.rotate(self.theirs, 33, expand=True, **mode).numpy(), atol=1e-6)
        self.compare(T.RandomAffine((20, 20), None, (1.2, 1.2), (10, 10, -15, -15), interpolation, center=[9.0, 8.0]),
                     self.F.affine, angle=20, translate=[0, 0], scale=1.2, shear=[10.0, -15.0], center=[9.0, 8.0], **mode)

    def test_perspective_and_elastic(self):
        start = np.array([[0, 0], [26, 0], [26, 20], [0, 20]])
        end = np.array([[3, 2], [24, 1], [22, 18], [1, 15]])
        operation = Projection(height=20, width=26, matrix=perspective_matrix(start, end))
        points = {"startpoints": start.tolist(), "endpoints": end.tolist()}
        np.testing.assert_allclose(operation.image(self.image), self.F.perspective(self.theirs, **points).numpy(), atol=1e-5)
        theirs = self.F.perspective(self.their_boxes, **points).numpy()
        np.testing.assert_allclose(operation.boxes(self.boxes), theirs, atol=1e-4)
        offsets = np.random.default_rng(1).standard_normal((2, 20, 26))
        arrows = self.torch.from_numpy(np.moveaxis(offsets / [[[13]], [[10]]], 0, -1)[None])  # halves of the image
        np.testing.assert_allclose(Displacement(height=20, width=26, offsets=offsets).image(self.image),
                                   self.F.elastic(self.theirs, arrows).numpy(), atol=1e-6)

    def test_nearest_sizes_take_the_middle(self):
        """PyTorch's "nearest-exact"; its "nearest" is half a pixel off."""
        mask = np.random.default_rng(0).integers(0, 9, (20, 26))
        result = T.Resize((33, 9))({"image": self.image[0], "mask": mask})["mask"]
        theirs = self.torch.nn.functional.interpolate(self.torch.from_numpy(mask)[None, None].float(), (33, 9),
                                                      mode="nearest-exact")
        np.testing.assert_array_equal(result, theirs[0, 0].numpy())


def test_elastic_arrows_are_smooth_and_as_long_as_alpha_says():
    field = T.ElasticTransform((40.0, 20.0), 3.0, generator=seeded()).draw(120, 150).offsets
    # The variance of uniform noise is 1/3; a Gaussian of width s leaves 1 / (4 pi s^2) of it.
    expected = np.array([20, 10]) / np.sqrt(3 * 4 * np.pi * 9)
    np.testing.assert_allclose(field.std(axis=(1, 2)), expected, rtol=0.15)
    assert np.abs(np.diff(field, axis=2)).std() < 0.3 * field.std()
    assert np.abs(T.ElasticTransform(2.0, 0.0, generator=seeded()).draw(50, 50).offsets).max() <= 1


def test_draws_are_uniform():
    flips = T.RandomHorizontalFlip(0.3, generator=seeded())
    assert abs(np.mean([flips.draw(4, 4) is not None for _ in range(2000)]) - 0.3) < 0.04
    crops = T.RandomCrop((5, 7), generator=seeded())
    places = [crops.draw(8, 9) for _ in range(2000)]
    counts = np.bincount([3 * crop.top + crop.left for crop in places], minlength=12)
    assert len(counts) == 12
    assert np.abs(counts - 2000 / 12).max() < 4 * np.sqrt(2000 / 12)
    rotations = T.RandomAffine((10, 20), generator=seeded())
    angles = [np.degrees(np.arctan2(*rotations.draw(8, 8).matrix[1::-1, 0])) for _ in range(500)]
    assert min(angles) >= 10
    assert max(angles) < 20
    assert abs(np.mean(angles) - 15) < 0.6
    shifts = T.RandomAffine(0, (0.25, 0.5), generator=seeded())
    matrices = np.array([shifts.draw(40, 60).matrix for _ in range(500)])
    assert (np.abs(matrices[:, 0, 2]).max(), np.abs(matrices[:, 1, 2]).max()) == (15, 20)
    np.testing.assert_array_equal(matrices, np.rint(matrices))


def test_rectangles_of_random_resized_crops():
    transform = T.RandomResizedCrop(8, (0.2, 0.5), (0.5, 2), generator=seeded())
    crops = [transform.draw(100, 140).operations[0] for _ in range(500)]
    shares = np.array([crop.height * crop.width for crop in crops]) / 14000
    ratios = np.array([crop.width / crop.height for crop in crops])
    assert 0.19 < shares.min() < 0.22
    assert 0.46 < shares.max() < 0.52
    assert 0.49 < ratios.min() < 0.55
    assert 1.8 < ratios.max() < 2.03
    assert abs(np.log(ratios).mean()) < 0.08
    stripe = T.RandomResizedCrop(8).draw(10, 200).operations[0]  # no rectangle fits: the largest allowed in the middle
    assert (stripe.height, stripe.width, stripe.top, stripe.left) == (10, 13, 0, 93)
