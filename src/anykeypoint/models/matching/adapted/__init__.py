"""A matcher that was adapted to one category by some dozens of labelled pictures; see `adapted_model`."""
