"""Predicts with a model: an exported file through a light runtime, a `.keras` file or a run through Keras.

`opening.open_model` opens them all, and the result looks the same. TensorFlow and Keras are loaded only for a `.keras`
file. Knows nothing of training.
"""
