"""The pictures of docs/gallery.md: examples/gallery.py at 60 pixels per inch, each reduced to 128 colours.

    python tools/make_gallery.py

Writes docs/pictures/gallery/*.png.  Needs matplotlib and Pillow.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "pictures" / "gallery"


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        example = ROOT / "examples" / "gallery.py"
        subprocess.run([sys.executable, example, "--dpi", "60", "--out", folder], cwd=ROOT, check=True)
        for path in sorted(Path(folder).glob("*.png")):
            with Image.open(path) as image:
                small = image.convert("RGB").quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
            small.save(OUT / path.name, optimize=True)
    sizes = {path.name: path.stat().st_size for path in OUT.glob("*.png")}
    largest = max(sizes, key=sizes.__getitem__)
    print(f"{len(sizes)} pictures, {sum(sizes.values())} bytes; the largest is {largest}, {sizes[largest]} bytes")


if __name__ == "__main__":
    main()
