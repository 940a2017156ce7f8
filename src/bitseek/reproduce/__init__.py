"""The reproduction ledger: figures that were published, and what we measure under the same settings."""

from bitseek.reproduce.row import Row
from bitseek.reproduce.running import STATUS, Changes, reproduce
from bitseek.reproduce.store import read_results, result_path, results_folder, write_result
from bitseek.reproduce.table import find, published

__all__ = [
    "STATUS",
    "Changes",
    "Row",
    "find",
    "published",
    "read_results",
    "reproduce",
    "result_path",
    "results_folder",
    "write_result",
]
