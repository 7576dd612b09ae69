"""Writes a run's model in other formats, each file only if it answers like Keras.

`formats` has a row a format; `exporter` makes and judges the files; `benchmark` measures them. Nothing is loaded here,
since the command line shows the formats in its help.
"""
