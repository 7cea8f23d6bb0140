"""What the processes run: each framework's plain ways, ours, and the machine's limit.

A maker takes the work and its options and returns a ``worker.Prepared``. Only the modules named
after a framework import one. Each of these has ``find_device`` and ``repeat_product``.
"""
