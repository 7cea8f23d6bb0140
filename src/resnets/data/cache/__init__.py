"""Decoded images on disk: each file is decoded once and read by rows afterwards."""
