"""Shared by all tests: the order, no clock for random inputs, the kill matrix's summary."""

import sys
from pathlib import Path

from hypothesis import settings

settings.register_profile("course", deadline=None)
settings.load_profile("course")

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))


def pytest_collection_modifyitems(items):
    """Long tests first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_terminal_summary(terminalreporter):
    """Print exercises × slips, alone and in pairs: rejected, recognised; alternatives accepted."""
    found: dict[str, dict] = {"kill": {}, "pairs": {}}
    for report in terminalreporter.getreports("passed"):
        for kind, row in report.user_properties:
            if kind in found:
                found[kind][tuple(row[:2])] = row[2:]
    if not found["kill"]:
        return
    write = terminalreporter.write_line
    write("\nkill matrix: every slip alone is rejected and recognised, every alternative accepted;")
    write("pairs of slips are rejected (unless they cancel): named as both, as the one that all")
    write("candidates share, as a single slip that behaves alike, or by the symptom")
    write(
        f"{'lesson':<24} {'exercise':<22} seeds slips altern.  pairs cancel  both   one single symptom"
    )
    total = [0] * 8
    for (lesson, name), (seeds, wrong, right) in sorted(found["kill"].items()):
        pairs, cancel, as_one, both, one = found["pairs"].get((lesson, name), [0] * 5)
        row = wrong, right, pairs, cancel, both, one, as_one
        row = (*row, pairs - cancel - both - one - as_one)
        total = [x + y for x, y in zip(total, row, strict=True)]
        write(f"{lesson:<24} {name:<22} {seeds:>5} " + _row(row))
    write(f"{'':<24} {len(found['kill'])} exercises{'':>16} " + _row(total))


def _row(numbers) -> str:
    return " ".join(
        f"{x:>{width}}" for x, width in zip(numbers, (5, 7, 6, 6, 5, 5, 6, 7), strict=True)
    )
