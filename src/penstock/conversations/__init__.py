"""Conversations: who asked what, in which branch, and what was answered.

An answer is a stream as any other; this package keeps what was said when its log is long gone.

    records.py          what is kept
    store.py            who keeps it, as a protocol; `penstock.stores` has the SQL
    recording.py        follows one answer, and gathers what is to be kept of it
    conversations.py    begins answers, and tells who is looking that something has changed
"""
