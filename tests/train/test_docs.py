"""docs/training.md: its blocks run, one after the other, as one program."""

import os
import re
import subprocess
import sys
from pathlib import Path

import tinygrad_course as tgc

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def test_the_blocks_run_one_after_the_other(tmp_path):
    assert len(BLOCKS) == TEXT.count("```python") == 9
    (tmp_path / "page.py").write_text("\n".join(BLOCKS), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(tgc.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-W", "error", "page.py"], cwd=tmp_path, env=environment, text=True,
                          capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in (tmp_path / "runs" / "digits").iterdir()} == {
        "best.safetensors", "checkpoint.safetensors", "events", "history.csv", "times.json", "report.html"}
