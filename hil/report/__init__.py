"""Numbers, pictures and the page that sum up one run, made from its log and nothing else."""

from hil.report.page import write_report
from hil.report.summary import Summary, summarise
from hil.report.verdict import VerdictRow, verdict_rows, verdict_table

__all__ = ["Summary", "VerdictRow", "summarise", "verdict_rows", "verdict_table", "write_report"]
