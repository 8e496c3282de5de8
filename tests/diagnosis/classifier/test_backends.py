"""The two ways to run the network give the same answer. Slow: loads TensorFlow."""

import numpy as np
import pytest

from diagnosis.classifier.backends import Forward
from diagnosis.classifier.network import Network
from tests.diagnosis.classifier.networks import sample_views, shipped_bundle, shipped_network

pytestmark = pytest.mark.slow

#: Stated tolerances: measured 2e-5 on logits of up to 5.5 and 6e-5 on maps of up to 15 (float32, other order of sums).
LOGITS, MAPS, EMBEDDINGS, PROBABILITIES = 1e-3, 2e-3, 1e-3, 1e-4


@pytest.fixture(scope="module")
def compiled() -> Network:
    return Network.open(shipped_bundle(), backend="compiled")


def test_litert_and_the_compiled_network_agree_on_real_images(compiled: Network) -> None:
    on_cpu = shipped_network().read(sample_views())
    on_gpu = compiled.read(sample_views())

    assert len(on_cpu) >= 28
    for one, other in zip(on_cpu, on_gpu, strict=True):
        assert np.abs(one.probabilities - other.probabilities).max() < PROBABILITIES
        assert np.abs(one.map - other.map).max() < MAPS
        assert np.abs(one.embedding - other.embedding).max() < EMBEDDINGS
        assert one.predicted == other.predicted
        assert one.novel == other.novel


def test_a_batch_that_is_not_full_gives_the_same_bits_as_a_full_one(compiled: Network) -> None:
    views = np.concatenate([sample_views(), sample_views()])[:40]

    together = compiled.read(views)
    alone = [compiled.read(view[np.newaxis])[0] for view in views[:3]]
    second_batch = compiled.read(views[32:])

    for one, other in zip([*together[:3], *together[32:]], [*alone, *second_batch], strict=True):
        assert np.array_equal(one.probabilities, other.probabilities)
        assert np.array_equal(one.map, other.map)
        assert np.array_equal(one.embedding, other.embedding)


def test_each_names_itself_with_its_version(compiled: Network) -> None:
    assert shipped_network().backend_name.startswith("litert 2.")
    assert compiled.backend_name.startswith("compiled tensorflow 2.")


def test_the_raw_outputs_agree_too(compiled: Network) -> None:
    views = sample_views()[:4]
    one: Forward = shipped_network()._backend.forward(views)
    other: Forward = compiled._backend.forward(views)

    assert np.abs(one.logits - other.logits).max() < LOGITS
    assert one.maps.shape == other.maps.shape == (4, 7, 7, 7)
    assert one.embeddings.shape == other.embeddings.shape == (4, 1280)
