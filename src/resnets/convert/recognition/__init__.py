"""Architectures from the names and shapes of tensors."""
