"""Renders a report's page: one self-contained HTML file, for any screen and for print."""

from collections.abc import Sequence

from faceemo.analysis.calibration import BINS
from faceemo.analysis.report import conflicts, facts, failures
from faceemo.analysis.report.figures import Drawing
from faceemo.analysis.report.results import Results
from faceemo.analysis.theme import template
from faceemo.analysis.theme.matrix import matrix_cells

_REM_PER_INCH = 6.5  # of a figure's width, at which its text is about as large as the page's


def render(results: Results, drawings: Sequence[Drawing]) -> str:
    """Renders the page. Names from outside are escaped.

    Args:
        results: The model's results on one split.
        drawings: Figures; the page shows those that name one of its sections.
    """
    classes, scores = results.predictions.classes, results.scores
    figures = [
        {
            "section": drawing.section,
            "alt": drawing.alt,
            "light": template.png_uri(drawing.light),
            "dark": template.png_uri(drawing.dark),
            "width": _REM_PER_INCH * drawing.width,
        }
        for drawing in drawings
        if drawing.section
    ]
    described, tables = facts.describe(results.summary)
    return template.render(
        "analysis/report/report.html.j2",
        title=results.title,
        split=results.split,
        drawn=results.is_drawn,
        scores=scores,
        classes=classes,
        matrix=matrix_cells(classes, scores["confusion"], failures.cell_id),
        figures=figures,
        history=results.history,
        best_epoch=results.best_epoch,
        cells=failures.make_cells(results.calibrated, results.extras),
        slices=results.slices,
        has_heat=results.extras.heat is not None,
        named_in=results.extras.named_in,
        calibration=results.calibration,
        votes=results.votes,
        conflicts=conflicts.list_conflicts(results.calibrated),
        bins=BINS,
        facts=described,
        tables=tables,
    )
