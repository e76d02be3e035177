"""Hand-written stand-ins for the persister's ports; tests/contract keeps them honest."""
