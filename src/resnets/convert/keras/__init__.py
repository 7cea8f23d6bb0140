"""Keras weight files: .h5, .weights.h5 and .keras."""
