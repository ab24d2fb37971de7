"""Load against the hub and, in the same run, against a bare `websockets` server: `python -m bench <name>`."""
