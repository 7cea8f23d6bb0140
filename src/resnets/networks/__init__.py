"""Networks as values: description, names, layers, costs, initial weights, the NumPy function."""
