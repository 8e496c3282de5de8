"""What a user would write instead: the network behind a web server that stores nothing, checks nothing, asks nobody.

    uvicorn --factory bench.bare_servers:onnx_app --workers 3
    uvicorn --factory bench.bare_servers:predict_app --workers 3
    python -m bench.bare_servers PORT WORKERS          (LitServe)

Run by the Python of `bench.environment`. BENCH_MODEL names the ONNX file or the Keras weights. All make the network's
view as the platform does, so that they answer the same.
"""

import io
import os
import sys
from collections.abc import Callable

import litserve
import numpy as np
import onnxruntime
from fastapi import FastAPI, Request, UploadFile
from numpy.typing import NDArray
from PIL import Image

from diagnosis.classifier.taxonomy import CLASSES
from diagnosis.classifier.view import make_view

Logits = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def view_of(upload: bytes) -> NDArray[np.float32]:
    """Decode a photograph and squash it, float32 [1, 224, 224, 3]."""
    return make_view(Image.open(io.BytesIO(upload)).convert("RGB"))[np.newaxis].astype(np.float32)


def answer(logits: NDArray[np.float32]) -> dict[str, float]:
    """Probabilities by class."""
    shares = np.exp(logits - logits.max())
    return dict(zip(CLASSES, (shares / shares.sum()).tolist(), strict=True))


def onnx_session() -> Logits:
    """ONNX Runtime with one thread: there are as many processes as the platform has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"])
    view = session.get_inputs()[0].name
    place = next(place for place, output in enumerate(session.get_outputs()) if list(output.shape)[1:] == [7])
    return lambda views: session.run(None, {view: views})[place][0]


def _app(logits: Logits) -> FastAPI:
    app = FastAPI()

    @app.post("/predict")
    def predict(image: UploadFile) -> dict[str, float]:
        return answer(logits(view_of(image.file.read())))

    return app


def onnx_app() -> FastAPI:
    """FastAPI with ONNX Runtime."""
    return _app(onnx_session())


def predict_app() -> FastAPI:
    """FastAPI with `model.predict`, as most examples have it."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from diagnosis.classifier.architecture import build_network

    network = build_network()
    network.load_weights(os.environ["BENCH_MODEL"])
    network.predict(np.zeros((1, 224, 224, 3), np.float32), verbose=0)
    return _app(lambda views: network.predict(views, verbose=0)["logits"][0])


class LitServeApi(litserve.LitAPI):
    """LitServe with ONNX Runtime."""

    def setup(self, device: str) -> None:
        self.logits = onnx_session()

    def decode_request(self, request: Request) -> NDArray[np.float32]:
        """The view of the photograph in the form."""
        return view_of(request["image"].file.read())

    def predict(self, view: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits [7]."""
        return self.logits(view)

    def encode_response(self, logits: NDArray[np.float32]) -> dict[str, float]:
        """Probabilities by class."""
        return answer(logits)


def main() -> None:
    """Run LitServe: one process takes requests, the others read."""
    port, workers = int(sys.argv[1]), int(sys.argv[2])
    server = litserve.LitServer(LitServeApi(), accelerator="cpu", workers_per_device=workers - 1)
    server.run(host="127.0.0.1", port=port, num_api_servers=1, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
