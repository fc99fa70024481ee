"""nbgrader's feedback, made readable: exercises have names, formulas need no network.

`nbgrader_config.py` names `FeedbackExporter` as the exporter of `nbgrader generate_feedback`.
"""

import re

from latex2mathml.converter import convert
from nbconvert.exporters import HTMLExporter

CODE_OR_FORMULA = re.compile(r"(?s)(```.*?```|`[^`]*`)|\$\$(.+?)\$\$|\$(.+?)\$")
MATHJAX = re.compile(r"(?s)<!-- Load mathjax -->.*?<!-- End of mathjax configuration -->")


class FeedbackExporter(HTMLExporter):
    """nbgrader's HTML with the titles of exercises and with MathML instead of a remote MathJax."""

    def from_notebook_node(self, nb, resources=None, **kw):
        titles, title = {}, ""
        for cell in nb.cells:
            if cell.cell_type == "markdown":
                if heading := re.search(r"(?m)^### (.+)$", cell.source):
                    title = heading[1]
                cell.source = with_mathml(cell.source)
            elif grade_id := cell.metadata.get("nbgrader", {}).get("grade_id"):
                titles[grade_id] = title
        html, resources = super().from_notebook_node(nb, resources, **kw)
        for grade_id, title in titles.items():
            link = f'<a href="#{grade_id}">'
            html = html.replace(f"{link}Test cell</a>", f"{link}{title}</a>")
        return MATHJAX.sub("", html), resources


def with_mathml(markdown: str) -> str:
    """Markdown with its `$…$` and `$$…$$` as MathML, which browsers draw by themselves."""

    def replace(found: re.Match) -> str:
        code, block, inline = found.groups()
        if code:
            return code
        formula = convert(block or inline, display="block" if block else "inline")
        # Markdown must not read marks of its own in a formula.
        return re.sub(r"[*_`|~\\\[\]]", lambda sign: f"&#{ord(sign[0])};", formula)

    return CODE_OR_FORMULA.sub(replace, markdown)
