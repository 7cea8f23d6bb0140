"""Networks that become deeper or shallower without changing the function."""
