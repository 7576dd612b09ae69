"""Measures how good a model is: its scores, its calibration, and how unlike its training pictures a picture is."""
