"""How a network is trained: recipes, presets, the learning-rate schedule."""
