"""What runs in the processes: each framework's rows, and the probes of the machine's limit.

A maker takes the work and its options and gives a ``worker.Prepared``. Only the modules here that
are named after a framework import one.
"""
