"""The report of a run: one HTML file with all figures, settings and numbers in it."""

from rvaejax.report.write import write_report

__all__ = ["write_report"]
