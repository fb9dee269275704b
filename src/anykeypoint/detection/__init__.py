"""Boxes of the objects that words name, so that a picture of many objects gives many poses (KptLLM++, Sec. 3.7)."""
