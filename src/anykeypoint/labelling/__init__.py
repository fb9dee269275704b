"""Labelling with the help of a model: the project folder, what answers its pictures, and in which order."""
