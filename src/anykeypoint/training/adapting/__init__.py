"""Adapting a matcher to one category by some dozens of labelled pictures; see `adapt`."""
