"""A watch over a record: rules with sources, flags with evidence, alarms that are told once; no model in its path."""

from aris.tasks.monitor.loading import RuleError, RuleSet, load_rules, shipped_rules
from aris.tasks.monitor.results import Alarm, Ended, Episode, Evidence, Flag, Group, Monitored, NotAssessed, State
from aris.tasks.monitor.rule import Rule, Severity
from aris.tasks.monitor.watching import MonitorError, Replayed, flags_now, monitor, replay

__all__ = [
    "Alarm",
    "Ended",
    "Episode",
    "Evidence",
    "Flag",
    "Group",
    "MonitorError",
    "Monitored",
    "NotAssessed",
    "Replayed",
    "Rule",
    "RuleError",
    "RuleSet",
    "Severity",
    "State",
    "flags_now",
    "load_rules",
    "monitor",
    "replay",
    "shipped_rules",
]
