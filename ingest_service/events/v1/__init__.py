"""Contract 1, released with 0.1.0 and frozen: a ledger entry that names it is judged by it always.

`ordinary` answers for the events that nearly all records are; `careful` is the definition.
"""
