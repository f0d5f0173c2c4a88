"""nas-doctor: find out what is wrong with a data set by reading each of its files once.

Each module of `checks` checks for one kind of problem and returns findings.
"""

from nas.tasks.data.doctor.examine import examine, examine_two, findings
from nas.tasks.data.doctor.examined import ClassShares, Examined
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.doctor.quick import quick_check
from nas.tasks.data.doctor.sizes import suggest_size

__all__ = ["ClassShares", "Examined", "Finding", "examine", "examine_two", "findings", "quick_check", "suggest_size"]
