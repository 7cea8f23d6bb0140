"""Gluon parameter files (.params)."""
