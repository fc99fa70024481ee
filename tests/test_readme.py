"""README, CITATION.cff and Makefile say what is so."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import picture
import pytest
import yaml

from attnfuse.cli import parser

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_picture_shows_what_the_check_says_today():
    assert picture.PICTURE.read_text(encoding="utf-8") == picture.draw(), "run `make build`"
    assert re.search(r"!\[[^\]]{60,}\]\(docs/feedback\.svg\)", README)  # with a description
    assert "You divide by the sum of all exponentials" in picture.draw()
    assert max(map(len, picture.message())) < 92  # fits its width


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_the_commands_named_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    targets = re.findall(r"(?m)^(\w[\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert set(re.findall(r"(?m)(?:^|`)make (\w[\w-]*)", text)) <= set(targets)
    (commands,) = (action.choices for action in parser()._actions if action.dest == "command")
    assert set(re.findall(r"(?m)(?:^|[`/])attnfuse (\w+)", text)) - {"set"} <= set(commands)


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert f"version {PROJECT['version']}," in README
    assert f"attnfuse-{PROJECT['version']}-py3-none-any.whl" in README


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.parametrize(("code", "of_make"), [(0, 0), (1, 0), (2, 2)])
def test_make_grade_calls_missing_points_no_error(tmp_path, code, of_make):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for path, text in {
        "tools/setup_env.py": "",
        ".venv/bin/attnfuse": f"#!/bin/sh\necho graded $*\nexit {code}\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    (tmp_path / ".venv/bin/attnfuse").chmod(0o755)
    of_outer = ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")  # `make test` itself runs these tests
    environment = {name: value for name, value in os.environ.items() if name not in of_outer}
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run(["make", "grade"], **options)
    assert (done.returncode, done.stdout) == (of_make, "graded grade\n")
    assert bool(done.stderr) == bool(of_make)
