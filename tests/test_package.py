"""Importing is fast and loads no TensorFlow; quiet, claim and plot do what they say."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(code: str, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_import_is_fast_and_light():
    code = "import time; t = time.perf_counter(); import attnfuse; print(time.perf_counter() - t)"
    assert min(float(run(code).stdout) for _ in range(3)) < 0.2
    code = (
        "import sys; from attnfuse import check, claim, hint, quiet, quiz; "
        "from attnfuse.exercises import EXERCISES; list(EXERCISES.values()); "
        "print([m for m in ('tensorflow', 'keras', 'sklearn', 'matplotlib') if m in sys.modules])"
    )
    assert run(code).stdout.strip() == "[]"


def test_quiet_hides_tensorflow_but_no_error():
    done = run("from attnfuse import quiet\nwith quiet():\n    import tensorflow\nprint('ready')")
    assert (done.stdout, done.stderr) == ("ready\n", "")
    done = run("from attnfuse import quiet\nwith quiet():\n    import no_such_module")
    assert "no_such_module" in done.stderr


def test_claim(capsys, monkeypatch):
    from attnfuse import claim

    monkeypatch.delenv("ATTNFUSE_QUICK", raising=False)
    claim("one is one", True)
    assert capsys.readouterr().out == "✓ one is one\n"
    with pytest.raises(AssertionError, match="one is two"):
        claim("one is two", False)
    monkeypatch.setenv("ATTNFUSE_QUICK", "1")
    claim("one is two", False)
    assert "not judged" in capsys.readouterr().out


def test_attention_map_refuses_what_does_not_fit():
    from attnfuse import plot

    weights = np.full((2, 3), 1 / 3)
    mask = np.array([[1, 1, 0], [1, 1, 1]], bool)
    ax = plot.attention_map(weights, ["a", "b"], ["x", "y", "z"], "title", mask=mask)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("key", "query")
    assert len(ax.patches) == 1
    with pytest.raises(ValueError, match="2 key labels for 3 positions"):
        plot.attention_map(weights, ["a", "b"], ["x", "y"], "title")
    with pytest.raises(ValueError, match="alternative text"):
        plot.show(ax.figure, alt=" ")


def test_environment_yml_is_python_pip_and_the_package():
    import yaml

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, packages = conda["dependencies"]
    assert python == f"python {project['requires-python']}"
    assert pip == "pip"
    assert packages == {"pip": ["-e .[keras,lab]"]}


def test_lock_satisfies_the_ranges():
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked: dict[str, list[str]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        name, _, rest = line.partition("==")
        locked.setdefault(name, []).append(rest.split(";")[0].strip())
    wanted = [*project["dependencies"]]
    for extra in ("keras", "lab", "teach", "dev"):
        wanted += project["optional-dependencies"][extra]
    for text in wanted:
        requirement = Requirement(text)
        if requirement.name == "attnfuse":
            continue
        name = requirement.name.lower().replace("_", "-")
        assert name in locked, f"{name} is not in requirements.lock"
        for version in locked[name]:
            assert requirement.specifier.contains(version), f"{name} {version} is outside {text}"


def test_version_stands_in_both_places():
    import attnfuse

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert attnfuse.__version__ == project["version"]
