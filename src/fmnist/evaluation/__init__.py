"""How good a model is: its scores, how far its probabilities can be trusted, and what it has never seen."""
