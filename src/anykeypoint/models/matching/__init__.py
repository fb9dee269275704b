"""Few-shot matchers: keypoints found in a query by comparing its features with those of an example, or of words."""
