"""The command line: `attnfuse lab` to learn, `attnfuse grade` to see where one stands."""

import argparse
import io
import os
import sys
from pathlib import Path

from . import __version__


def main(arguments: list[str] | None = None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a letter the terminal cannot show ends nothing
    try:
        code = run(parser().parse_args(arguments))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `attnfuse status | head -1`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to flush
        return 141  # what a shell says of a program that a closed pipe ended
    except KeyboardInterrupt:
        print("attnfuse: stopped", file=sys.stderr)
        return 130


def run(options: argparse.Namespace) -> int:
    from .work import WorkError, default_folder, require, reset

    if options.command != "grade":
        folder = Path(options.dir) if options.dir else default_folder()
    if options.command == "lab":
        from .lab import LabError, lab

        try:
            return lab(folder, options.port, not options.no_browser)
        except LabError as problem:
            return refuse(options, problem)
    if options.command == "status":
        from .progress import status

        try:
            require(folder)
        except WorkError as problem:
            return refuse(options, problem)
        print(status(folder))
        return 0
    if options.command == "reset":
        from .released import released_lessons

        try:
            messages = reset(options.lessons, released_lessons(), folder.resolve())
        except (WorkError, OSError) as problem:
            return refuse(options, problem)
        print("\n".join(f"attnfuse: {message}" for message in messages))
        return 0
    from .grade import grade

    return grade(options.notebooks, as_json=options.json, timeout=options.timeout)


def refuse(options: argparse.Namespace, problem: Exception) -> int:
    print(f"attnfuse {options.command}: {problem}", file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="attnfuse", description="A course on attention and multimodal fusion."
    )
    top.add_argument("--version", action="version", version=f"attnfuse {__version__}")
    commands = top.add_subparsers(dest="command", required=True)

    lab = commands.add_parser("lab", help="copy the lessons into work/ and start JupyterLab")
    lab.add_argument("--port", type=port, help="the port to use (default: 8888 or the next free)")
    lab.add_argument("--no-browser", action="store_true", help="print the address, open nothing")

    grade = commands.add_parser(
        "grade",
        help="grade your notebooks",
        epilog="Exit code: 0 all points, 1 some points missing, 2 something could not be graded.",
    )
    grade.add_argument("notebooks", nargs="*", help="default: work/*.ipynb, else *.ipynb here")
    grade.add_argument("--json", action="store_true", help="print the result as JSON")
    grade.add_argument(
        "--timeout", type=float, default=600, metavar="S", help="seconds a cell may run (600)"
    )

    status = commands.add_parser("status", help="list what you have solved, without running it")

    reset = commands.add_parser(
        "reset",
        help="start a lesson afresh; yours is kept beside it",
        epilog="Your notebook is kept as NAME.mine.ipynb in the same folder.",
    )
    reset.add_argument("lessons", nargs="+", metavar="lesson", help="as 05 or its name")

    for command in (lab, status, reset):
        command.add_argument(
            "--dir", help="where your notebooks live (default: here if they do, else work)"
        )
    return top


def port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65535:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main())
