"""The Fashion-MNIST data set."""
