"""Using trained networks: evaluation, prediction, explanation, parity."""
