"""The league table as text for a paper, a page, a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from hotstart.report.words import MINUS, MISSING, THIN

Quoted = tuple[str, str, bool, bool]
"""Value, deviation, whether the gain is beyond chance, whether it is the column's best."""

LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "%": r"\%",
        "#": r"\#",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\n": " ",
    }
)


@dataclass(frozen=True)
class Quotes:
    """The same table three times."""

    latex: str
    markdown: str
    comma_separated: str

    @property
    def all(self) -> list[tuple[str, str]]:
        return [
            ("Markdown", self.markdown),
            ("LaTeX", self.latex),
            ("CSV", self.comma_separated),
        ]


def quotes_of(
    title: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[Quoted], str]]
) -> Quotes:
    """rows: name, cells, role (`task` or a control's)."""
    return Quotes(_latex(title, heads, rows), _markdown(heads, rows), _csv(heads, rows))


def _markdown(heads: Sequence[str], rows: Sequence[tuple[str, Sequence[Quoted], str]]) -> str:
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for name, cells, _ in rows:
        shown = []
        for value, deviation, sure, best in cells:
            text = f"**{value}**" if best else value
            shown.append(text + (f" ± {deviation}" if deviation else "") + (r"\*" if sure else ""))
        safe = name.replace("\\", "\\\\").replace("|", r"\|").replace("\n", " ")
        lines.append(f"| {safe} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def _latex(
    title: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[Quoted], str]]
) -> str:
    """A `tabular` with the rules of the package `booktabs`."""
    lines = [
        "% " + " ".join(title.split()),
        r"\begin{tabular}{l" + "r" * len(heads) + "}",
        r"\toprule",
        " & " + " & ".join(head.replace(THIN, " ").translate(LATEX) for head in heads) + r" \\",
        r"\midrule",
    ]
    before = ""
    for name, cells, role in rows:
        part = "task" if role == "task" else "control"
        if before not in ("", part):
            lines.append(r"\midrule")
        before = part
        shown = []
        for value, deviation, sure, best in cells:
            text = value.replace(MINUS, "-").replace(MISSING, "--")
            text = rf"\textbf{{{text}}}" if best else text
            text += rf" $\pm$ {deviation}" if deviation else ""
            shown.append(text + ("$^*$" if sure else ""))
        lines.append(f"{name.translate(LATEX)} & " + " & ".join(shown) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _csv(heads: Sequence[str], rows: Sequence[tuple[str, Sequence[Quoted], str]]) -> str:
    """Values and deviations in columns of their own; what was not measured is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    plain = [head.replace(THIN, " ") for head in heads]
    writer.writerow(["", *(cell for head in plain for cell in (head, f"{head} deviation"))])
    for name, cells, _ in rows:
        told = [
            "" if part == MISSING else part.replace(MINUS, "-")
            for value, deviation, _, _ in cells
            for part in (value, deviation)
        ]
        writer.writerow([name, *told])
    return text.getvalue()
