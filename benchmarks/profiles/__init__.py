"""Where a step's time goes, by each framework's own profiler: ``profile_step.py`` runs these.

Each module has ``split_step(take, session)``, which returns the share of the step's time that each
kind of work takes.
"""
