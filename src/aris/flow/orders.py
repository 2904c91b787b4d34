"""Orders into the store, and onto the studies that are theirs: an order may come before or after its images."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from aris.exchange.orders.hl7_orders import orders_of
from aris.exchange.orders.hl7_text import parse
from aris.flow.arrival import put_order
from aris.flow.house import House
from aris.store.reading import jobs, orders
from aris.store.reading.audit import SYSTEM
from aris.store.reading.orders import Order


def keep_orders(house: House, found: Sequence[Order], now: datetime | None = None) -> int:
    """Keep orders, new ones and changes of known ones, all or none. How many studies have another order now.

    Raises:
        StoreError: they cannot be written.
    """

    def work(session: Session) -> int:
        moment = now or datetime.now(UTC)
        changed = 0
        for order in found:
            row = orders.put(session, order, moment)
            for reading, study in orders.studies_of(session, row):
                before = (reading.order_pk, reading.urgency)
                put_order(reading, orders.for_study(session, study))
                jobs.hasten(session, reading.study_uid, reading.urgency)
                changed += (reading.order_pk, reading.urgency) != before
            house.trail.add(session, SYSTEM, "order", row.study_uid, now=moment, order=row.id, source=order.source,
                            urgency=row.urgency, status=order.status)  # fmt: skip
        return changed

    return house.store.sessions.write(work)


def take_message(house: House, data: bytes) -> None:
    """Keep the orders of an HL7 message.

    Raises:
        Hl7Error: it is none that is taken.
        StoreError: they cannot be written.
    """
    keep_orders(house, orders_of(parse(data)))
