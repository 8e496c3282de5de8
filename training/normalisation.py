"""Batch normalisation at the speed that the backend can do."""

from typing import Any

import keras


class FusedNormalisation(keras.layers.BatchNormalization):
    """The same as Keras' layer, by TensorFlow's fused kernel where TensorFlow trains.

    Keras writes the training pass out as many passes over memory, and on a processor these take half of a step of
    MobileNetV2 (decision 0182). Elsewhere, and in inference, nothing differs.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """[n, h, w, channels] to the same shape, in the layer's precision."""
        if not training or not self.trainable or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        normal, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, tf.cast(self.gamma, "float32"), tf.cast(self.beta, "float32"), epsilon=self.epsilon
        )
        # The kernel's variance is that of a sample (n - 1), Keras' that of the batch (n).
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], "float32")
        for kept, measured in ((self.moving_mean, mean), (self.moving_variance, variance * (count - 1.0) / count)):
            kept.assign(kept * self.momentum + measured * (1.0 - self.momentum))
        return normal
