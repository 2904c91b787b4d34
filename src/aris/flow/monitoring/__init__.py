"""The watch over records that goes on: it reads, judges, keeps its state, and tells each alarm once."""

from aris.flow.monitoring.following import Follower, Source, newest_moment
from aris.flow.monitoring.journal import Event, Journal
from aris.flow.monitoring.keeping import Keeper, Kept

__all__ = ["Event", "Follower", "Journal", "Keeper", "Kept", "Source", "newest_moment"]
