"""Boxes of objects named in words, so that a picture of many objects becomes many poses (KptLLM++, Sec. 3.7)."""
