"""The report: one HTML file that compares several systems, the first being the baseline, or shows one.

Everything in the file is in the file: no script, no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from qa_eval.analysis.comparison import compare_systems
from qa_eval.analysis.observations import Observations
from qa_eval.analysis.sources import Source, observe
from qa_eval.data.examples import Dataset
from qa_eval.errors import InputError
from qa_eval.reporting import charts
from qa_eval.reporting.view import ReportView

DEFAULT_OUTPUT = Path("qa-eval-report.html")


def report(
    *sources: Source,
    output: str | Path = DEFAULT_OUTPUT,
    dataset: Dataset | str | Path | None = None,
    phoenix: str | None = None,
) -> Path:
    """Write a report as one HTML file.

    Args:
        sources: As for `compare`; one is enough. Several are compared, with the first as the baseline.
        output: The file to write; one that is there is replaced.
        dataset: The questions that predictions files answer.
        phoenix: The base URL of the Phoenix that holds experiments named by their id.

    Returns:
        The path of the file.

    Raises:
        InputError: A source cannot be read, there are no answers, or the file cannot be written.
        PhoenixError: Phoenix is not there, or has no such experiment.
    """
    page = render(observe(sources, dataset=dataset, phoenix=phoenix))
    path = Path(output)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): give another path with `output`.") from None
    return path


def render(systems: Sequence[Observations]) -> str:
    """The page's HTML.

    Raises:
        InputError: There are no answers, or the systems have no question in common.
    """
    if not systems or not all(len(system) for system in systems):
        raise InputError("There is nothing to report: the run has no scored answers.")
    comparison = compare_systems(systems) if len(systems) > 1 else None
    view = ReportView(comparison.systems if comparison else tuple(systems), comparison)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("qa_eval.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(key=charts.key, scale=charts.scale, heights=charts.heights)
    style = Markup((resources.files("qa_eval.reporting") / "templates" / "report.css").read_text("utf-8"))  # noqa: S704
    return environment.get_template("report.html.jinja").render(page=view, style=style)
