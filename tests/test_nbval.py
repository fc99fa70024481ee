"""nbval compares for real: a changed stored output makes it fail."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
SOLVED = ROOT / "solutions" / "00_start_here.ipynb"


def nbval(path: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-cell-timeout=120", "-q"]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), str(path)],
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
@pytest.mark.parametrize("change", [False, True], ids=["as stored", "one digit changed"])
def test_nbval_compares(tmp_path, change):
    notebook = nbformat.read(SOLVED, nbformat.NO_CONVERT)
    if change:
        outputs = [o for c in notebook.cells for o in c.get("outputs", []) if "18.67" in str(o)]
        assert outputs
        outputs[0].text = outputs[0].text.replace("18.67", "18.68")
    path = tmp_path / "lesson.ipynb"
    nbformat.write(notebook, path)
    done = nbval(path)
    assert (done.returncode == 0) != change, done.stdout[-3000:]
    if change:
        assert "18.68" in done.stdout
