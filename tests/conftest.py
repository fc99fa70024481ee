"""Shared by all tests: the kill matrix's summary, kernels without pytest's variable."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

COLUMNS = ("lesson", "exercise", "seeds", "rejected", "recognised", "misconceptions", "accepted")


def pytest_terminal_summary(terminalreporter):
    """Print exercises × misconceptions: how many were rejected, recognised, accepted."""
    rows = sorted(
        dict(report.user_properties)["kill"]
        for report in terminalreporter.getreports("passed")
        if "kill" in dict(report.user_properties)
    )
    if not rows:
        return
    write = terminalreporter.write_line
    write("\nkill matrix (each misconception and each alternative, over the seeds)")
    write(f"{'lesson':<24} {'exercise':<26} seeds  rejected  recognised  alternatives accepted")
    for lesson, name, seeds, rejected, recognised, wrong, accepted in rows:
        write(
            f"{lesson:<24} {name:<26} {seeds:>5}  {rejected:>3}/{wrong:<4}  {recognised:>4}/{wrong:<5}"
            f"  {accepted:>3}/{accepted}"
        )
    total = [sum(row[i] for row in rows) for i in (3, 4, 5, 6)]
    write(
        f"{len(rows)} exercises: {total[0]}/{total[2]} misconceptions rejected, "
        f"{total[1]}/{total[2]} recognised, {total[3]}/{total[3]} alternatives accepted"
    )
