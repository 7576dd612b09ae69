"""Turns photos, files, folders and arrays into pictures of the data set's form and the model's size.

Nothing here loads a model.
"""
