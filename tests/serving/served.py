"""A stand-in for a model, served by a process of its own.

served.py DRAIN_SECONDS SLOW_SECONDS [LOADING_SECONDS [PROJECT]]
"""

import logging
import sys
import time
from pathlib import Path

from stand_in import StandIn

from anykeypoint.serving.app import build_app
from anykeypoint.serving.running import listen, serve
from anykeypoint.serving.server_limits import ServerLimits
from anykeypoint.serving.service import Service

drain, slow, loading = (*map(float, sys.argv[1:4]), 0.0)[:3]


class Slow(StandIn):
    """Takes its time for words with "slow"."""

    def predict(self, image, category, **options):
        if category.names[0].startswith("slow"):
            time.sleep(slow)
        return super().predict(image, category, **options)


def load():
    time.sleep(loading)
    return Slow()


logging.basicConfig(level=logging.INFO)
service = Service({"stand-in": load}, ServerLimits(drain_seconds=drain, batch=1))
sock = listen("127.0.0.1", 0)
print(sock.getsockname()[1], flush=True)
serve(build_app(service, project=Path(sys.argv[4]) if len(sys.argv) > 4 else None), service, sock)
