"""Writes what tensorflow-addons and scikit-learn return for random inputs to vectors.npz, next to this file.

`make parity` runs it in a separate environment (requirements.txt here): tensorflow-addons ended in May 2024 and cannot be
imported alongside Keras 3, and Keras imports scikit-learn wherever it is installed, which no user of kseg needs. `test_parity.py`
holds kseg, Keras and SciPy against these answers everywhere. Arrays are named <operation>_<what>; inputs are stored with the
answers, so that no generator of random numbers has to be the same.
"""

import pathlib

import numpy as np
import sklearn.metrics
import tensorflow as tf
import tensorflow_addons as tfa

VECTORS = pathlib.Path(__file__).with_name("vectors.npz")


def max_unpooling(draw):
    """Values put where an image's maxima were, for two sizes of windows; both divide the image, as tensorflow-addons needs."""
    image = draw.normal(size=(2, 12, 8, 3)).astype(np.float32)
    answers = {"image": image}
    for window in ((2, 2), (3, 4)):
        maxima, places = tf.nn.max_pool_with_argmax(image, window, window, "VALID")
        values = draw.normal(size=tuple(maxima.shape)).astype(np.float32)
        unpooled = tfa.layers.MaxUnpooling2D(window, window, "VALID")(values, places)
        name = "{}x{}".format(*window)
        answers |= {f"{name}_maxima": maxima, f"{name}_values": values, f"{name}_unpooled": unpooled}
    return answers


def focal(draw):
    """The binary focal loss of logits, for three pairs of alpha and gamma."""
    labels, logits = draw.integers(0, 2, 64), draw.normal(0, 4, 64).astype(np.float32)
    settings = np.array([[0.25, 2.0], [0.5, 0.5], [0.9, 5.0]], np.float32)
    losses = [
        tfa.losses.SigmoidFocalCrossEntropy(from_logits=True, alpha=float(alpha), gamma=float(gamma))(
            labels[:, None], logits[:, None]
        )
        for alpha, gamma in settings
    ]
    return {"labels": labels, "logits": logits, "settings": settings, "losses": np.stack(losses)}


def components(draw):
    """Connected regions of equal value; 0 is background."""
    label_maps = draw.integers(0, 3, (2, 13, 17)).astype(np.uint8)
    return {
        "label_maps": label_maps,
        "of_values": np.stack([tfa.image.connected_components(ids) for ids in label_maps]),
        "of_masks": np.stack([tfa.image.connected_components(ids > 0) for ids in label_maps]),
    }


def distance(draw):
    """Euclidean distance of each pixel to the nearest one that is 0."""
    mask = (draw.random((19, 23)) < 0.93).astype(np.uint8)
    return {"mask": mask, "transform": tfa.image.euclidean_dist_transform(mask, tf.float64).numpy()}


def spectral(draw):
    """Kernel, vector u and output of a spectrally normalised convolution and dense layer after two steps of training."""
    answers = {}
    for name, layer, shape in (
        ("conv", tf.keras.layers.Conv2D(5, 3, use_bias=False), (2, 6, 7, 4)),
        ("dense", tf.keras.layers.Dense(6, use_bias=False), (3, 4)),
    ):
        inputs = draw.normal(size=shape).astype(np.float32)
        normalised = tfa.layers.SpectralNormalization(layer, power_iterations=2)
        normalised.build(shape)
        kernel, u = (
            draw.normal(size=tuple(weight.shape)).astype(np.float32) for weight in (layer.kernel, normalised.u)
        )
        layer.kernel.assign(kernel)
        normalised.u.assign(u)
        outputs = [normalised(inputs, training=True).numpy() for _ in range(2)]
        answers |= {
            f"{name}_inputs": inputs,
            f"{name}_kernel": kernel,
            f"{name}_u": u,
            f"{name}_outputs": np.stack(outputs),
        }
        answers |= {f"{name}_kernel_after": layer.kernel.numpy(), f"{name}_u_after": normalised.u.numpy()}
    return answers


def scores(draw):
    """Of 9 classes, five times: 4 and 6 are never predicted, 7 is never true, 8 is neither; 255 is void. NaN where undefined."""
    truth, said = draw.choice([*range(7), 255], (5, 2, 31, 43)), draw.choice([0, 1, 2, 3, 5, 7], (5, 2, 31, 43))
    answers = {"truth": truth.astype(np.uint8), "said": said.astype(np.uint8)}
    classes = {"labels": list(range(9))}
    of_each = classes | {"average": None, "zero_division": np.nan}
    found = []
    for pair in zip(truth, said, strict=True):
        labelled = [ids[pair[0] != 255] for ids in pair]
        precision, recall, dice, _ = sklearn.metrics.precision_recall_fscore_support(*labelled, **of_each)
        found.append(
            {
                "matrix": sklearn.metrics.confusion_matrix(*labelled, **classes),
                "precision": precision,
                "recall": recall,
                "dice": dice,
                "iou": sklearn.metrics.jaccard_score(*labelled, **classes, average=None, zero_division=0),
                "pixel_accuracy": sklearn.metrics.accuracy_score(*labelled),
            }
        )
    return answers | {name: np.stack([answer[name] for answer in found]) for name in found[0]}


def main():
    """Asks everything and writes the answers."""
    vectors = {}
    for seed, ask in enumerate((max_unpooling, focal, components, distance, spectral, scores)):
        answers = ask(np.random.default_rng(seed))
        vectors |= {f"{ask.__name__}_{name}": np.asarray(answer) for name, answer in answers.items()}
    np.savez_compressed(VECTORS, **vectors)
    print(f"{len(vectors)} arrays, {VECTORS.stat().st_size} bytes: {VECTORS}")


if __name__ == "__main__":
    main()
