"""Reads four IDX files, wherever they come from, into images and labels in memory."""
