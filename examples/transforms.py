"""One scene with mask and boxes under every transform, and batches of distorted images with their masks.

    python examples/transforms.py
    python examples/transforms.py --steps 20 --out /tmp/transforms

The scenes are clothes of the shipped Fashion images on a chequered ground, so boxes and masks are known exactly.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import tinygrad_course as tgc
from tinygrad_course import viz
from tinygrad_course.data import DataLoader, Scenes, load_fashion, make_scenes
from tinygrad_course.data import transforms as T
from tinygrad_course.viz.figure import TICK_SIZE, VALIDATION_COLOUR, new_figure

SIZE = 96
SHOWN = [
    ("the scene", T.Pad(0)),
    ("RandomHorizontalFlip", T.RandomHorizontalFlip(1)), ("RandomVerticalFlip", T.RandomVerticalFlip(1)),
    ("CenterCrop(72)", T.CenterCrop(72)), ("RandomCrop(72)", T.RandomCrop(72)),
    ("RandomResizedCrop", T.RandomResizedCrop(96, (0.3, 0.6))),
    ("Pad(16)", T.Pad(16)), ("Resize((48, 96))", T.Resize((48, 96))),
    ("ScaleJitter((96, 96))", T.ScaleJitter((96, 96), (0.4, 0.7))),
    ("RandomRotation(30)", T.RandomRotation((20, 30))), ("… expand=True", T.RandomRotation((20, 30), expand=True)),
    ("RandomAffine", T.RandomAffine(20, (0.1, 0.1), (0.7, 1.0), 20)),
    ("RandomPerspective", T.RandomPerspective(p=1)), ("ElasticTransform(150)", T.ElasticTransform(150.0)),
    ("ColorJitter", T.ColorJitter(0.3, 0.3, 0.5, (0.2, 0.4))), ("GaussianBlur(7)", T.GaussianBlur(7, 2.0)),
    ("GaussianNoise", T.GaussianNoise()), ("RandomErasing", T.RandomErasing(1, (0.1, 0.2), value=255)),
]


def ground(size: int) -> np.ndarray:
    """A picture to stand on: squares of 16 pixels in two colours, uint8 (size, size, 3)."""
    y, x = np.mgrid[:size, :size] // 16
    return np.array([[60, 74, 100], [98, 110, 134]], np.uint8)[(y + x) % 2]


def draw(scenes: Scenes, path: Path) -> None:
    """A picture of every transform once.  Images of another size than the scene are drawn to the same scale."""
    full = max(range(len(scenes.colours)), key=lambda number: len(set(scenes.colours[number]) - {-1, 0}))  # most colours
    scene = {"image": scenes.images[full], "mask": scenes.masks[full], "boxes": scenes.boxes[full]}
    figure = new_figure(15, 8.4)
    for ax, (title, transform) in zip(figure.subplots(3, 6).flat, SHOWN, strict=True):
        sample = transform(scene)
        height, width = sample["mask"].shape
        ax.imshow(sample["image"], interpolation="nearest")
        for number in range(1, 4):  # the outline of each thing's mask
            if (sample["mask"] == number).any():
                ax.contour(sample["mask"] == number, [0.5], colors="#FFFFFF", linewidths=1.5)
        for x1, y1, x2, y2 in sample["boxes"] - 0.5:  # the centre of the first pixel is 0 here
            ax.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], color=VALIDATION_COLOUR, linewidth=3)
        middle = (width - 1) / 2, (height - 1) / 2
        ax.set(xlim=(middle[0] - 65, middle[0] + 65), ylim=(middle[1] + 65, middle[1] - 65), xticks=[], yticks=[])
        ax.set_title(title, fontsize=TICK_SIZE)
        for side in ax.spines.values():
            side.set_visible(False)
    viz.save_figure(figure, path, dpi=70)
    Image.open(path).quantize(160).save(path, optimize=True)  # fewer colours: half the size


class Clothes(tgc.data.Dataset):
    """Scenes as pairs of image and mask, (3, 96, 96) and (96, 96), distorted anew each time they are asked for."""

    def __init__(self, scenes: Scenes) -> None:
        self.scenes = scenes
        self.transform = T.Compose([
            T.RandomHorizontalFlip(),
            T.RandomAffine(15, (0.1, 0.1), (0.8, 1.2), mask_fill=0),
            T.RandomApply([T.ElasticTransform(80.0)], p=0.3),
            T.ColorJitter(0.3, 0.3, 0.3),
            T.ToTensor(),
            T.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))])

    def __len__(self) -> int:
        return len(self.scenes.images)

    def __getitem__(self, index: int) -> dict:
        return self.transform({"image": self.scenes.images[index], "mask": self.scenes.classes[index]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10, help="batches that are made (default: 10)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/example_transforms"), help="folder for the figure")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    tgc.manual_seed(options.seed)
    images, labels = load_fashion()
    solid = np.maximum(images, np.uint8(130) * (images > 3))  # without holes
    scenes = make_scenes(64, generator=tgc.Generator().manual_seed(options.seed), image_size=SIZE, digit_size=(30, 44),
                         min_contrast=45, digits=(solid, labels), photos=[ground(SIZE)])
    draw(scenes, options.out / "transforms.png")

    loader = DataLoader(Clothes(scenes), batch_size=16, shuffle=True)
    made = 0
    while made < options.steps:
        for batch in loader:
            made += 1
            share = (batch["mask"].numpy() > 0).mean()
            print(f"batch {made}: images {tuple(batch['image'].shape)}, masks {tuple(batch['mask'].shape)}, "
                  f"{100 * share:.0f} % of the pixels are clothes")
            if made == options.steps:
                break


if __name__ == "__main__":
    main()
