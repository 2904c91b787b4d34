"""The clinic's flow: arrival, settled study, job, draft, priority, reading, signature, documents out.

Every step is a transaction on the store. What a crash interrupts is found again by the next worker; nothing is drafted
twice, and no signed report is changed or lost.
"""
