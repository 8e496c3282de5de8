"""One network, run by everything that can run it: how long a view takes, and whether the answers are the same.

    python -m bench.forward [--short] [--data ../shared/data/ham10000]

Run by the Python of `bench.environment`. Everything is timed in turns, round by round; each number of threads has a
process of its own, because TensorFlow takes its threads once. Accuracy is judged on the validation images of HAM10000,
which chose the thresholds too; the frozen test is not read.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench import page

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from diagnosis.classifier import shipped
from diagnosis.classifier.bundle import BUNDLES, WEIGHTS, Bundle

Floats = NDArray[np.float32]
#: Views uint8 [n, 224, 224, 3] to logits float32 [n, 7].
Run = Callable[[NDArray[np.uint8]], Floats]

SERVED: Final = "LiteRT float32 (served)"
BATCHES: Final = (1, 8, 32)
#: Training images by which int8 learns what range flows between the layers.
CALIBRATION: Final = 200
#: Draws of the bootstrap over lesion groups.
DRAWS: Final = 1000


def bundle() -> Bundle:
    """The network that ships."""
    return Bundle.open(BUNDLES / shipped.SHIPPED_BUNDLE, shipped.SHIPPED_MANIFEST_SHA256)


# --- Ways to run it ---------------------------------------------------------------------------------------------------
def litert(model: bytes, threads: int, prepare: Callable[[Floats], Floats] = lambda view: view) -> Run:
    """LiteRT, one view after the other, as it is served."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    view = next(iter(runner.get_input_details().values()))["index"]
    outputs = [runner.get_output_details()[name]["index"] for name in ("logits", "maps", "embedding")]
    del runner  # it blocks the interpreter while it lives

    def run(views: NDArray[np.uint8]) -> Floats:
        logits = np.empty((len(views), 7), np.float32)
        for row, each in enumerate(views):
            interpreter.set_tensor(view, prepare(each[np.newaxis].astype(np.float32)))
            interpreter.invoke()
            said = [interpreter.get_tensor(output)[0] for output in outputs]
            logits[row] = said[0]
        return logits

    return run


def onnx_runtime(path: Path, threads: int) -> Run:
    """ONNX Runtime on what Keras exports."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    view = session.get_inputs()[0].name
    logits = next(place for place, output in enumerate(session.get_outputs()) if list(output.shape)[1:] == [7])
    return lambda views: session.run(None, {view: views.astype(np.float32)})[logits]


def openvino(path: Path, threads: int) -> Run:
    """OpenVINO on the bundle's own `model.tflite`, in float32."""
    import openvino as ov

    core = ov.Core()
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
    request = core.compile_model(core.read_model(str(path)), "CPU", options).create_infer_request()
    compiled = request.get_compiled_model()
    logits = next(
        place for place, output in enumerate(compiled.outputs) if len(output.partial_shape) == 2
        and output.partial_shape[1] == 7
    )  # fmt: skip

    def run(views: NDArray[np.uint8]) -> Floats:
        request.infer(views.astype(np.float32))
        return np.array(request.get_output_tensor(logits).data)

    return run


def keras_network(opened: Bundle) -> Any:
    """The network as Keras has it."""
    from diagnosis.classifier.architecture import build_network

    network = build_network()
    network.load_weights(opened.folder / WEIGHTS)
    return network


def keras_ways(opened: Bundle) -> dict[str, Run]:
    """The three ways in which TensorFlow runs a Keras network."""
    import tensorflow as tf

    network = keras_network(opened)
    traced = tf.function(lambda views: network(tf.cast(views, tf.float32), training=False)["logits"])
    return {
        "tf.function": lambda views: traced(tf.constant(views)).numpy(),
        "model(x)": lambda views: network(views.astype(np.float32), training=False)["logits"].numpy(),
        "model.predict": lambda views: network.predict(views.astype(np.float32), batch_size=32, verbose=0)["logits"],
    }  # fmt: skip


# --- Other formats ----------------------------------------------------------------------------------------------------
def stretched(view: Floats) -> Floats:
    """`architecture.IntensityStretch` in numpy."""
    darkest, reach = view.min(), view.max() - view.min()
    return (view - darkest) * np.float32(2.0 / reach) - np.float32(1.0) if reach else view / 127.5 - 1.0


def export_onnx(path: Path) -> None:
    """Write the shipped network as Keras exports it for ONNX."""
    import keras

    signature = [keras.InputSpec(shape=(None, 224, 224, 3), dtype="float32", name="view")]
    keras_network(bundle()).export(str(path), format="onnx", verbose=False, input_signature=signature)


def make_formats(opened: Bundle, folder: Path, examples: NDArray[np.uint8]) -> None:
    """Write `network.onnx`, `dynamic.tflite` and `integer.tflite` into `folder`."""
    import keras

    network = keras_network(opened)
    export_onnx(folder / "network.onnx")
    (folder / "dynamic.tflite").write_bytes(_quantised(network, None))
    # The stretch's division has no int8 kernel in LiteRT, so it is left outside, in numpy, and counted in the time.
    after = keras.Input((224, 224, 3), name="view")
    features = network.get_layer("mobilenetv2_1.00_224")(after)
    embedding = network.get_layer("embedding")(features)
    classify = network.get_layer("classify")
    outputs = {"logits": classify(embedding), "maps": classify(features), "embedding": embedding}
    (folder / "integer.tflite").write_bytes(_quantised(keras.Model(after, outputs), examples))


def _quantised(network: Any, examples: NDArray[np.uint8] | None) -> bytes:
    """Weights in int8, and with examples of views what flows between the layers too."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    signature = [tf.TensorSpec((1, 224, 224, 3), tf.float32, name="view")]
    serve = tf.function(lambda view: dict(network(view, training=False)), input_signature=signature)
    concrete = serve.get_concrete_function()
    frozen, names = convert_variables_to_constants_v2(concrete), sorted(concrete.structured_outputs)
    module = tf.Module()
    module.serve = tf.function(lambda view: dict(zip(names, frozen(view), strict=True)), input_signature=signature)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"serving_default": module.serve.get_concrete_function()})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if examples is not None:

            def representative() -> Iterator[list[Floats]]:
                return ([stretched(view[np.newaxis].astype(np.float32))] for view in examples)

            converter.representative_dataset = representative
        return bytes(converter.convert())


def ways_on_a_cpu(opened: Bundle, formats: Path, threads: int) -> dict[str, Run]:
    """Everything but Keras."""
    model = opened.folder / "model.tflite"
    return {
        SERVED: litert(model.read_bytes(), threads),
        "LiteRT int8, weights only": litert((formats / "dynamic.tflite").read_bytes(), threads),
        "LiteRT int8": litert((formats / "integer.tflite").read_bytes(), threads, stretched),
        "ONNX Runtime": onnx_runtime(formats / "network.onnx", threads),
        "OpenVINO": openvino(model, threads),
    }


# --- How long ---------------------------------------------------------------------------------------------------------
def time_with(threads: int, formats: Path, views: NDArray[np.uint8], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds a view, by batch and way, round by round."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    opened = bundle()
    ways = ways_on_a_cpu(opened, formats, threads) | keras_ways(opened)
    taken: dict[str, dict[str, list[float]]] = {}
    for batch in BATCHES:
        some = np.resize(views, (batch, *views.shape[1:]))
        repeat = {1: rounds, 8: max(3, rounds // 3), 32: max(3, rounds // 6)}[batch]
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(-1, repeat):
            for name in list(ways) if number % 2 else reversed(list(ways)):
                begin = time.perf_counter()
                ways[name](some)
                if number >= 0:
                    times[name].append((time.perf_counter() - begin) * 1000 / batch)
        taken[str(batch)] = times
    return taken


def speed_table(taken: dict[str, dict[str, list[float]]]) -> str:
    """A row for each way: milliseconds a view, and how many times as long as the served one."""
    rows = []
    for name in next(iter(taken.values())):
        row = [name]
        for batch in map(str, BATCHES):
            times, served = taken[batch][name], taken[batch][SERVED]
            low, middle, high = statistics.quantiles(times, n=4)
            ratio = statistics.median(mine / ours for mine, ours in zip(times, served, strict=True))
            row += [f"{middle:.2f} ({low:.2f} to {high:.2f})", f"{ratio:.2f}"]
        rows.append(row)
    head = ["ms a view", *(part for batch in BATCHES for part in (f"batch {batch}", "ratio"))]
    return page.table(head, rows)


# --- How well ---------------------------------------------------------------------------------------------------------
def validation_images(data: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.str_], NDArray[np.uint8]]:
    """Views, labels and lesion groups of HAM10000's validation, and some views of its training to calibrate by."""
    from training.datasets import ham10000
    from training.datasets.frozen import ham10000_splits

    records = ham10000.read_metadata(data / ham10000.METADATA)
    splits = ham10000_splits(records)
    validation = splits.positions("validation")
    some = np.sort(np.random.default_rng(0).choice(splits.positions("training"), CALIBRATION, replace=False))
    wanted = [records[place].image_id for place in (*validation, *some)]
    views = np.zeros((len(wanted), 224, 224, 3), np.uint8)
    place = {image: number for number, image in enumerate(wanted)}
    views = _read_some([data / name for name in ham10000.ARCHIVES], place)
    labels = np.array([_class_of(records[each].diagnosis) for each in validation])
    count = len(validation)
    return views[:count], labels, splits.groups[validation], views[count:]


def _class_of(diagnosis: str) -> int:
    from diagnosis.classifier.taxonomy import CLASSES

    return CLASSES.index(diagnosis)


def _read_some(archives: list[Path], place: dict[str, int]) -> NDArray[np.uint8]:
    import zipfile

    from training.datasets.ham10000 import decode_view

    views = np.zeros((len(place), 224, 224, 3), np.uint8)
    for path in archives:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if (where := place.get(Path(name).stem)) is not None and name.endswith(".jpg"):
                    views[where] = decode_view(archive.read(name))
    return views


def probabilities(logits: Floats, opened: Bundle) -> NDArray[np.float64]:
    """As `network.interpret` has them, float64 [n, 7]."""
    from scipy.special import softmax

    return np.asarray(softmax(logits.astype(np.float64) / opened.temperature, axis=1))


def agreement_table(
    opened: Bundle, formats: Path, views: NDArray[np.uint8], labels: NDArray[np.int64] | None,
    groups: NDArray[np.str_] | None,
) -> str:  # fmt: skip
    """A row for each way: the greatest difference of a probability from Keras', and what it costs in accuracy."""
    from training.evaluation.metrics import balanced_accuracy, decided, malignant_auc
    from training.evaluation.statistics import resampled_positions

    wanted = probabilities(keras_ways(opened)["model.predict"](views), opened)
    said = {
        name: probabilities(np.concatenate([run(views[start : start + 1]) for start in range(len(views))]), opened)
        for name, run in ways_on_a_cpu(opened, formats, 1).items()
    }
    served = said[SERVED]
    priors = opened.class_priors
    draws = [] if groups is None else resampled_positions(groups, DRAWS)
    rows = []
    for name, each in said.items():
        differing = int((decided(each, priors) != decided(served, priors)).sum())
        row = [name, f"{np.abs(each - wanted).max():.1e}", f"{differing} of {len(views)}"]
        if labels is not None:

            def accuracy(where: Any, given: NDArray[np.float64] = each) -> float:
                return balanced_accuracy(labels[where], decided(given[where], priors))

            def separation(where: Any, given: NDArray[np.float64] = each) -> float:
                return malignant_auc(labels[where], given[where])

            for figure in (accuracy, separation):
                whole = slice(None)
                lost = [figure(draw) - figure(draw, served) for draw in draws]
                low, high = np.nanquantile(lost, [0.025, 0.975])
                text = f"{figure(whole):.4f}"
                if name != SERVED:
                    text += f", {figure(whole) - figure(whole, served):+.4f} ({low:+.4f} to {high:+.4f})"
                row.append(text)
        rows.append(row)
    head = ["", "greatest difference of a probability from Keras", "other decision than served"]
    if labels is not None:
        head += ["balanced accuracy, and difference to served (95 %)", "malignant AUC, and difference to served (95 %)"]
    return page.table(head, rows)


def main() -> None:
    """Measure and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ham10000"))
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--formats", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.threads:
        views = np.load(options.formats / "views.npy")
        print(json.dumps(time_with(options.threads, options.formats, views, 9 if options.short else 31)))
        return
    load = os.getloadavg()[0]
    opened = bundle()
    with tempfile.TemporaryDirectory(prefix="skincare-bench-") as folder:
        formats = Path(folder)
        known = options.data.is_dir()
        if known:
            views, labels, groups, examples = validation_images(options.data)
        else:
            views, labels, groups = _demonstration(), None, None
            examples = views
        np.save(formats / "views.npy", views[: max(BATCHES)])
        make_formats(opened, formats, examples)
        tables = []
        for threads in (1, 2):
            command = [sys.executable, "-m", "bench.forward", f"--threads={threads}", f"--formats={formats}"]
            command += ["--short"] if options.short else []
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            taken = json.loads(done.stdout.splitlines()[-1])
            tables.append(f"**{threads} thread{'s' if threads > 1 else ''}**\n\n{speed_table(taken)}")
        agreement = agreement_table(opened, formats, views, labels, groups)
        sizes = {path.name: path.stat().st_size for path in sorted(formats.glob("*.[ot]*"))}
    where = f"{len(views)} validation images of HAM10000" if known else f"{len(views)} images of the demonstration"
    print(page.conditions(load, "medians (quartiles); ratios to what is served, round by round"))
    print("\n" + "\n\n".join(tables))
    print(f"\n**Answers**, on {where}\n\n{agreement}")
    print("\nSizes: " + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items())
          + f"; model.tflite as served {(opened.folder / 'model.tflite').stat().st_size / 1e6:.1f} MB.")  # fmt: skip


def _demonstration() -> NDArray[np.uint8]:
    from training.datasets.ham10000 import decode_view

    folder = Path(__file__).resolve().parent.parent / "diagnosis" / "demo"
    return np.stack([decode_view(path.read_bytes()) for path in sorted(folder.rglob("ISIC_*.jpg"))])


if __name__ == "__main__":
    main()
