"""Checks of face sets and verification sets, and cleaned copies of them."""

from arcface_mx.data.check.bins import check_pairs
from arcface_mx.data.check.check import check_path
from arcface_mx.data.check.fix import write_cleaned
from arcface_mx.data.check.records import check_records
from arcface_mx.data.check.report import Report

__all__ = ["Report", "check_pairs", "check_path", "check_records", "write_cleaned"]
