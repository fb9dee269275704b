"""A server of predictions over HTTP, with a page: `anykeypoint serve`, and the `Client` that calls it.

Only `client` can be imported without the extra `serve` (FastAPI, uvicorn, python-multipart, prometheus-client).
"""
