"""Predictions from a model, whatever it is kept in: an exported file through a light runtime, a run through Keras.

`open_model` is the one door, and the result looks the same behind it. TensorFlow and Keras are loaded only for a
`.keras` file. Knows nothing of training, and nothing of photos: pictures come as the model's own uint8 (N, H, W).
"""

from fmnist.predictor.opening import MODEL_SUFFIXES, open_model
from fmnist.predictor.predictor import METADATA_KEY, Predictor
from fmnist.predictor.trial import remember

__all__ = ["METADATA_KEY", "MODEL_SUFFIXES", "Predictor", "open_model", "remember"]
