"""Forms of samples, several transforms as one, random numbers, and what is refused."""

import pickle
from typing import NamedTuple

import numpy as np
import pytest

import tinygrad_course as tgc
from tinygrad_course.data import DataLoader, Dataset
from tinygrad_course.data import transforms as T
from tinygrad_course.errors import DataError, DTypeError, OperandError, ShapeError

FLIP = T.RandomHorizontalFlip(1)
IMAGE = np.arange(24, dtype=np.uint8).reshape(4, 6)
BOXES = np.array([[0, 0, 2, 3]])


class Pair(NamedTuple):
    image: np.ndarray
    mask: np.ndarray


def seeded(seed=0):
    return tgc.Generator().manual_seed(seed)


def all_transforms(**more):
    """One of each that draws random numbers and takes an image in colour."""
    return [T.RandomHorizontalFlip(**more), T.RandomVerticalFlip(**more), T.RandomCrop(20, padding=2, **more),
            T.RandomResizedCrop(24, **more), T.ScaleJitter((24, 24), **more), T.RandomRotation(30, **more),
            T.RandomAffine(20, (0.1, 0.1), (0.9, 1.1), 10, **more), T.RandomPerspective(p=1, **more),
            T.ElasticTransform(**more), T.ColorJitter(0.3, 0.3, 0.3, 0.1, **more), T.RandomGrayscale(0.5, **more),
            T.GaussianBlur(3, **more), T.GaussianNoise(**more), T.RandomErasing(1, value="random", **more),
            T.RandomApply([T.Pad(1)], **more), T.RandomChoice([T.Pad(1), T.Resize(9)], **more),
            T.RandomOrder([T.Pad(1), T.Resize(24)], **more)]


def test_forms_of_samples():
    flipped = IMAGE[:, ::-1].tolist()
    assert FLIP(IMAGE).tolist() == flipped
    assert FLIP(tgc.from_numpy(IMAGE[None])).tolist() == [flipped]
    colours = np.stack([IMAGE, IMAGE + 1, IMAGE + 2], axis=-1)
    assert FLIP(colours)[..., 1].tolist() == (IMAGE + 1)[:, ::-1].tolist()
    image, label = FLIP((IMAGE, 7))
    assert (image.tolist(), label) == (flipped, 7)
    assert FLIP([IMAGE, np.eye(3)[1]])[1].tolist() == [0, 1, 0]
    pair = FLIP(Pair(IMAGE, IMAGE > 9))
    assert isinstance(pair, Pair)
    assert pair.mask.tolist() == (IMAGE > 9)[:, ::-1].tolist()
    image, target = FLIP((IMAGE, {"boxes": BOXES, "labels": [3], "id": 11}))
    assert (target["boxes"].tolist(), target["labels"], target["id"]) == ([[4, 0, 6, 3]], [3], 11)
    stack = FLIP({"image": IMAGE, "mask": np.stack([IMAGE, IMAGE * 2])})["mask"]
    assert stack[1].tolist() == (IMAGE * 2)[:, ::-1].tolist()
    assert FLIP({"image": IMAGE, "boxes": np.zeros((0, 4)), "labels": []})["boxes"].shape == (0, 4)


def test_nothing_is_written_into_the_input_nor_shared_with_the_result():
    image = np.random.default_rng(0).integers(0, 256, (24, 30, 3), dtype=np.uint8)
    sample = {"image": image, "mask": (image[..., 0] > 99).astype(int), "boxes": np.array([[1, 2, 9, 20]]),
              "labels": np.array([1])}
    copies = {name: value.copy() for name, value in sample.items()}
    others = [T.Pad(1), T.CenterCrop(20), T.CenterCrop((20, 30)), T.Resize(9), T.Resize(9, "nearest"), T.Grayscale(),
              T.ToImage(), T.ToTensor(), T.ToDtype(np.float32), T.RandomRotation((180, 180)), T.RandomHorizontalFlip(1)]
    for transform in all_transforms(generator=seeded(2)) + others:
        result = transform(sample)
        for name, value in copies.items():
            np.testing.assert_array_equal(sample[name], value, err_msg=f"{transform}: {name}")
            if result[name] is not sample[name]:
                changed = result[name].numpy() if isinstance(result[name], tgc.Tensor) else result[name]
                assert not np.may_share_memory(changed, sample[name]), (transform, name)
                assert changed.flags.c_contiguous


def test_the_same_seed_gives_the_same_bits():
    image = np.random.default_rng(0).integers(0, 256, (24, 30, 3), dtype=np.uint8)

    def run(**more):
        return [transform(image) for transform in all_transforms(**more) for _ in range(3)]

    first, second, other = run(generator=seeded(5)), run(generator=seeded(5)), run(generator=seeded(6))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    # A single draw may agree by chance, three of one transform do not.
    for start in range(6, len(first) - 9, 3):
        assert any(not np.array_equal(first[k], other[k]) for k in range(start, start + 3)), first[start]
    tgc.manual_seed(5)
    assert all(np.array_equal(a, b) for a, b in zip(first, run(), strict=True))


class Distorted(Dataset):
    def __init__(self):
        self.images = np.random.default_rng(0).random((8, 28, 28)).astype(np.float32)
        self.transform = T.Compose([T.RandomAffine(10, (0.1, 0.1)), T.ElasticTransform(), T.RandomErasing(), T.ToTensor()])

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.transform({"image": self.images[index], "mask": self.images[index] > 0.5, "label": index})


@pytest.mark.parametrize("workers", [0, 2])
def test_in_a_loader(workers):
    def run(workers):
        return list(DataLoader(Distorted(), 4, shuffle=True, num_workers=workers, generator=seeded(1)))

    tgc.manual_seed(3)
    expected = run(0)
    tgc.manual_seed(3)
    for ours, theirs in zip(run(workers), expected, strict=True):
        assert ours["image"].shape == (4, 1, 28, 28)
        for name in ("image", "mask", "label"):
            np.testing.assert_array_equal(ours[name].numpy(), theirs[name].numpy())


def test_several_as_one():
    steps = [T.Pad(1), T.CenterCrop(4), FLIP]
    np.testing.assert_array_equal(T.Compose(steps)(IMAGE), FLIP(T.CenterCrop(4)(T.Pad(1)(IMAGE))))
    assert T.Compose([np.negative])(np.ones(1)).tolist() == [-1]  # any function
    apply = T.RandomApply(steps[:1], 0.2, generator=seeded())
    assert abs(np.mean([apply(IMAGE) is not IMAGE for _ in range(1000)]) - 0.2) < 0.05
    choose = T.RandomChoice([T.Pad(width) for width in (1, 2, 3)], [1, 0, 3], generator=seeded())
    counts = np.bincount([(len(choose(IMAGE)) - 4) // 2 for _ in range(1000)], minlength=4)
    assert (counts[0], counts[2]) == (0, 0)
    assert abs(counts[3] / 1000 - 0.75) < 0.05
    order = T.RandomOrder([T.Resize((8, 12)), T.Pad(1)], generator=seeded())
    shapes = [order(IMAGE).shape for _ in range(200)]
    assert set(shapes) == {(8, 12), (10, 14)}
    assert 60 < shapes.count((8, 12)) < 140


def test_repr_says_the_settings():
    assert repr(T.Compose([T.RandomCrop(3), T.RandomApply([FLIP])])) == (
        "Compose(\n"
        "    RandomCrop(size=(3, 3), pad_if_needed=False, fill=0, padding_mode=constant, mask_fill=0)\n"
        "    RandomApply(\n"
        "        RandomHorizontalFlip(p=1)\n"
        "    )\n"
        ")")


def test_transforms_can_be_sent_to_workers():
    transform = pickle.loads(pickle.dumps(T.Compose(all_transforms())))
    tgc.manual_seed(1)
    image = np.random.default_rng(0).random((40, 40, 3))
    result = transform(image)
    tgc.manual_seed(1)
    np.testing.assert_array_equal(result, T.Compose(all_transforms())(image))


@pytest.mark.parametrize(("sample", "error", "message"), [
    (np.zeros(5), ShapeError, r"shape \(5,\).*\(H, W, C\)"),
    (np.zeros((2, 3, 4, 5)), ShapeError, "batches one image after the other"),
    (np.zeros((3, 8, 8)), ShapeError, "channels last"),
    (np.zeros((0, 8)), ShapeError, "no pixels"),
    (tgc.zeros(8, 8), ShapeError, r"Tensor \(C, H, W\)"),
    (np.zeros((8, 8), np.int64), DTypeError, "uint8"),
    ("photo.png", OperandError, "a str, has no image"),
    ({"picture": IMAGE}, OperandError, "has no image"),
    ({"image": "photo.png"}, OperandError, "np.asarray"),
    ((IMAGE, IMAGE > 3), OperandError, "mask or boxes"),
    ((IMAGE, {"image": IMAGE}), DataError, "two entries"),
    ({"image": IMAGE, "mask": IMAGE.T}, ShapeError, r"\"mask\" has the shape \(6, 4\)"),
    ({"image": IMAGE, "boxes": np.zeros(4)}, ShapeError, "columns x1, y1, x2, y2"),
    ({"image": IMAGE, "boxes": np.zeros((2, 5))}, ShapeError, r"\(2, 5\)"),
    ({"image": IMAGE, "boxes": [[0, 0, 1, 1]]}, OperandError, "NumPy array or a Tensor"),
    ({"image": IMAGE, "boxes": np.array([[3, 3, 2, 9]])}, DataError, "x, y, width, height"),
    ({"image": IMAGE, "boxes": BOXES > 0}, DTypeError, "bool"),
    ({"image": IMAGE, "boxes": BOXES, "labels": [1, 2]}, ShapeError, '1 boxes, but "labels" has 2'),
    ({"image": IMAGE, "boxes": BOXES, "labels": 1}, ShapeError, "a single value"),
    ({"image": IMAGE, "boxes": BOXES, "masks": np.zeros((2, 4, 6))}, ShapeError, '"masks" has 2'),
])
def test_samples_that_are_refused(sample, error, message):
    with pytest.raises(error, match=f"RandomHorizontalFlip.*{message}"):
        FLIP(sample)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: T.RandomHorizontalFlip(1.5), "RandomHorizontalFlip: p=1.5 is no probability"),
    (lambda: T.RandomVerticalFlip(-0.1), "p=-0.1"),
    (lambda: T.RandomApply([FLIP], 2), "RandomApply: p=2"),
    (lambda: T.RandomErasing(p=float("nan")), "p=nan"),
    (lambda: T.RandomErasing(scale=(0.5, 2)), "shares from 0 to 1"),
    (lambda: T.RandomErasing(value="noise"), "random"),
    (lambda: T.RandomCrop(0), "at least 1"),
    (lambda: T.RandomCrop((2, 3, 4)), "height, width"),
    (lambda: T.Pad((1, 2, 3)), "left, top, right, bottom"),
    (lambda: T.Pad(1, padding_mode="wrap"), "symmetric"),
    (lambda: T.Resize(None), "max_size"),
    (lambda: T.Resize(8, max_size=4), "longer side"),
    (lambda: T.Resize(8, "bicubic"), "nearest, bilinear"),
    (lambda: T.RandomRotation(-5), "at least 0"),
    (lambda: T.RandomRotation((5, -5)), "smaller one first"),
    (lambda: T.RandomAffine(5, translate=(2, 0)), "shares"),
    (lambda: T.RandomAffine(5, scale=(-1, 1)), "not below"),
    (lambda: T.RandomPerspective(1.0), "less than 1"),
    (lambda: T.ElasticTransform(sigma=-1.0), "at least 0"),
    (lambda: T.ColorJitter(brightness=-1), "0 or more"),
    (lambda: T.ColorJitter(hue=0.6), "colour circle|-0.5"),
    (lambda: T.GaussianBlur(4), "odd"),
    (lambda: T.GaussianNoise(sigma=-1), "at least 0"),
    (lambda: T.Normalize(0, 0), "above 0"),
    (lambda: T.Grayscale(2), "1 or 3"),
    (lambda: T.Compose([]), "at least one"),
    (lambda: T.Compose(FLIP), "list"),
    (lambda: T.RandomChoice([FLIP], [0.5, 0.5]), "one weight for each"),
    (lambda: T.Lambda(abs, "boxs"), "'boxs'"),
    (lambda: T.ToDtype({"img": np.float32}), "'img'"),
    (lambda: T.Pad(1, fill=(1, 2))(IMAGE), "1 channels"),
    (lambda: T.RandomRotation(9, fill=0.5)(IMAGE), "0.5 cannot be written into uint8"),
    (lambda: T.Pad(1, mask_fill=-100)(Pair(IMAGE, IMAGE)), "-100 cannot be written into uint8"),
    (lambda: T.RandomAffine(9, mask_fill=2)(Pair(IMAGE, IMAGE > 3)), "from 0 to 1"),
    (lambda: T.Pad(1, padding_mode="reflect")({"image": IMAGE, "boxes": BOXES}), "twice"),
])
def test_settings_that_are_refused(make, message):
    with pytest.raises(DataError, match=message):
        make()


def test_crops_larger_than_the_image_and_other_channels():
    for transform in (T.RandomCrop(5), T.CenterCrop((4, 7))):
        with pytest.raises(ShapeError, match=r"larger than the image of 4 x 6 pixels"):
            transform(IMAGE)
    with pytest.raises(ShapeError, match="ColorJitter: the image has 4 channels"):
        T.ColorJitter(0.5)(np.zeros((4, 4, 4)))
