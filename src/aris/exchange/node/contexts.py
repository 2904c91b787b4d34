"""Presentation contexts of a store (PS3.8 9.3.2): whatever is an object is taken, in whatever encoding it has.

A store does not read what it keeps. So it takes retired, private and coming SOP classes as well as today's, and pixels
in codecs that it has no decoder for, rather than to lose an examination because a list is a year old.
"""

from __future__ import annotations

from typing import Any

from aris.exchange.node.peers import TRANSFER_SYNTAXES, network


def take_everything() -> None:
    """Let this process's nodes take each SOP class that is no other service, in any transfer syntax.

    pynetdicom does so by a setting for the whole process; where we only send it changes nothing.
    """
    network()._config.UNRESTRICTED_STORAGE_SERVICE = True


def on_request(event: Any) -> None:
    """Put the transfer syntaxes of an association's contexts into our order: pynetdicom takes the first of each.

    Where a sender offers several in one context, it has to turn the object into the one that is taken: what loses
    nothing goes before what does, and what we know before the rest.
    """
    order = {uid: location for location, uid in enumerate(TRANSFER_SYNTAXES)}
    for context in event.assoc.requestor.primitive.presentation_context_definition_list:
        offered = list(context.transfer_syntax)
        if len(offered) > 1:
            context.transfer_syntax = sorted(offered, key=lambda uid: order.get(uid, len(order)))
