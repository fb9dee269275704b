"""Models in the tools that people label with: Label Studio, CVAT, X-AnyLabeling and FiftyOne, on one shared adapter."""
