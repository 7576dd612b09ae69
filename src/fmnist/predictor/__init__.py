"""Predicts with a model: an exported file through a light runtime, a `.keras` file or a run through Keras.

`open_model` opens them all, and the result looks the same. TensorFlow and Keras are loaded only for a
`.keras` file. Knows nothing of training.
"""

from fmnist.predictor.opening import MODEL_SUFFIXES, open_model
from fmnist.predictor.prediction import Prediction
from fmnist.predictor.predictor import METADATA_KEY, UNTOLD, Predictor
from fmnist.predictor.readers import Readers
from fmnist.predictor.trial import remember

__all__ = ["METADATA_KEY", "MODEL_SUFFIXES", "UNTOLD", "Prediction", "Predictor", "Readers", "open_model", "remember"]
