"""Messages are written with Markdown's marks; where nothing renders them, they are taken off."""

import re

_MARKS = re.compile(
    r"`(?P<code>[^`\n]+)`"
    r"|(?<![\w*])(?P<stars>\*{1,2})(?=\S)(?P<text>[^*`\n]+?)(?<=\S)(?P=stars)(?![\w*])"
    r"|\$(?P<formula>[^$\n]+)\$"
)


def plain(text: str) -> str:
    """The text without backticks, stars and dollars that only mark code, emphasis and formulas."""
    return _MARKS.sub(lambda match: match[match.lastgroup], text)


def bold(text: str) -> str:
    """The same for a terminal or an error in a notebook: what was marked is bold."""
    return _MARKS.sub(lambda match: f"\x1b[1m{match[match.lastgroup]}\x1b[0m", text)
