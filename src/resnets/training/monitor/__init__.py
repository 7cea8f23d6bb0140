"""What people look at while a network trains: progress, curves, TensorBoard."""
