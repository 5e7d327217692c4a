"""DenseCRF against the usual implementation, exact sums, finite differences and the claims of its docstring."""

import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.postprocess.densecrf import build_lattice, gaussian_filter, normalize

SETTINGS = [  # of the reference vectors
    {
        "iterations": iterations,
        "smoothness_sigma": sigma,
        "smoothness_weight": weight,
        "appearance_position_sigma": position,
        "appearance_colour_sigma": colour,
        "appearance_weight": appearance,
    }
    for iterations, sigma, weight, position, colour, appearance in (
        (10, 3.0, 3.0, 80.0, 13.0, 10.0),
        (10, 1.0, 3.0, 67.0, 3.0, 4.0),
        (1, 3.0, 3.0, 60.0, 20.0, 10.0),
        (5, 2.0, 5.0, 20.0, 8.0, 6.0),
    )
]
SMALL = SETTINGS[3] | {"appearance_weight": 1.0, "smoothness_weight": 1.5}


def scene(height, width, classes, seed=0):
    """Noisy logits (1, H, W, K) and a noisy image of two halves (1, H, W, 3)."""
    draw = np.random.default_rng(seed)
    image = draw.normal(100, 10, (1, height, width, 3))
    image[:, :, width // 2 :] += 60
    return draw.normal(size=(1, height, width, classes)).astype(np.float32), np.clip(image, 0, 255).astype(np.float32)


def exact(features):
    """The Gaussian between all pairs of rows of features (N, d)."""
    return np.exp(-0.5 * np.sum((features[:, None] - features[None]) ** 2, axis=-1))


@pytest.fixture(scope="module")
def reference(data):
    with np.load(data / "densecrf" / "reference.npz") as file:
        return dict(file)


@pytest.mark.parametrize("parameters", range(4))
@pytest.mark.parametrize("crop", range(3))
def test_it_agrees_with_the_usual_implementation_on_real_images(reference, crop, parameters):
    layer = kseg.DenseCRF(**SETTINGS[parameters])
    result = layer([-reference[f"unary_{crop}"][None], reference[f"image_{crop}"][None]]).numpy()[0]
    expected = reference[f"probabilities_{crop}_{parameters}"]
    assert np.abs(result - expected).max() < 0.005  # 0.0018 seen, below 6e-6 in eight of the twelve
    best = np.sort(expected, axis=-1)
    certain = best[..., -1] - best[..., -2] > 0.01
    assert certain.mean() > 0.9
    np.testing.assert_array_equal(result.argmax(-1)[certain], expected.argmax(-1)[certain])


def test_zero_iterations_return_the_scores_exactly():
    logits, image = scene(5, 7, 3)
    np.testing.assert_array_equal(kseg.DenseCRF(0)([logits, image]), tf.nn.softmax(logits))
    np.testing.assert_array_equal(kseg.DenseCRF(0, activation=None)([logits, image]), logits)


def test_probabilities_say_the_same_as_their_logits():
    logits, image = scene(8, 9, 3)
    of_logits = kseg.DenseCRF(**SMALL)([logits, image])
    of_probabilities = kseg.DenseCRF(from_logits=False, **SMALL)([tf.nn.softmax(logits), image])
    np.testing.assert_allclose(of_probabilities, of_logits, atol=1e-6)


@pytest.mark.parametrize("dimensions, worst", [(1, 0.06), (2, 0.1), (3, 0.17), (5, 0.23)])
def test_the_filter_is_near_the_brute_force_gaussian(dimensions, worst):
    draw = np.random.default_rng(0)
    features = draw.uniform(0, 4, (600, dimensions)).astype(np.float32)
    values = draw.uniform(size=(600, 2)).astype(np.float32)
    grid = build_lattice(tf.constant(features))
    result = gaussian_filter(grid, values).numpy() / gaussian_filter(grid, tf.ones((600, 1))).numpy()
    expected = exact(features) @ values / exact(features).sum(axis=1, keepdims=True)
    # seen: 0.047, 0.077, 0.15 and 0.21 of the standard deviation
    assert np.sqrt(np.mean((result - expected) ** 2)) < worst * expected.std()


def test_the_filter_of_one_pixel_has_the_shape_of_a_gaussian():
    """One lit pixel, averaged over where it lies among the simplices, against exp(-distance^2 / 2)."""
    rows, columns = np.mgrid[:64, :64]
    features = np.stack([columns, rows], axis=-1).reshape(-1, 2).astype(np.float32) / 6
    lit = np.zeros((4096, 49), np.float32)
    centres = [64 * (29 + i) + 29 + j for i in range(7) for j in range(7)]
    lit[centres, np.arange(49)] = 1
    result = gaussian_filter(build_lattice(tf.constant(features)), lit).numpy()
    expected = exact(features)[:, centres]
    assert np.corrcoef(result.ravel(), expected.ravel())[0, 1] > 0.97
    spread = [
        np.sum(kernel * np.sum((features[:, None] - features[centres]) ** 2, axis=-1)) / np.sum(kernel)
        for kernel in (result, expected)
    ]
    assert spread[0] == pytest.approx(spread[1], rel=0.1)


def test_the_weights_of_a_pixel_are_not_negative_and_sum_to_one():
    features = np.random.default_rng(0).normal(0, 5, (50, 3)).astype(np.float32)
    grid = build_lattice(tf.constant(features))
    weights = grid.weights.numpy().reshape(50, 4)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)


def test_every_next_point_has_its_previous_point():
    grid = build_lattice(tf.random.stateless_normal((200, 2), seed=(0, 0)))
    for following, previous in grid.neighbours:
        following, previous = following.numpy(), previous.numpy()
        assert following[0] == previous[0] == 0 and 0 < np.count_nonzero(following) < len(following)
        points = np.flatnonzero(following)
        np.testing.assert_array_equal(previous[following[points]], points)
        assert np.count_nonzero(previous) == len(points)


def test_symmetric_normalisation_leaves_a_symmetric_filter_of_norm_one():
    features = tf.random.stateless_uniform((40, 2), seed=(0, 0), maxval=3)
    kernel = gaussian_filter(normalize(build_lattice(features)), tf.eye(40)).numpy()
    plain = gaussian_filter(build_lattice(features), tf.eye(40)).numpy()
    roots = np.sqrt(plain.sum(axis=1))
    np.testing.assert_allclose(kernel, plain / roots[:, None] / roots, atol=1e-5)
    assert np.abs(kernel - kernel.T).max() < 0.1 * kernel.max()  # the order of the directions tells a little
    assert np.abs(np.linalg.eigvals(kernel)).max() == pytest.approx(1, abs=0.01)


def test_a_constant_image_with_undecided_scores_is_a_fixed_point():
    result = kseg.DenseCRF()([np.zeros((1, 20, 30, 4), np.float32), np.full((1, 20, 30, 3), 90.0, np.float32)])
    np.testing.assert_allclose(result, 0.25, atol=1e-6)


def test_a_flipped_pixel_is_corrected_and_an_edge_stays():
    image = np.full((1, 20, 20, 3), 40.0, np.float32)
    image[:, :, 10:] = 200
    truth = np.zeros((20, 20), int)
    truth[:, 10:] = 1
    noisy = truth.copy()
    noisy[5, 4], noisy[12, 15] = 1, 0
    result = kseg.DenseCRF(5)([np.eye(2, dtype=np.float32)[noisy][None], image])
    np.testing.assert_array_equal(np.argmax(result[0], axis=-1), truth)


@pytest.mark.parametrize("compatibility", ["potts", "full"])
def test_permuting_the_classes_permutes_the_answer(compatibility):
    logits, image = scene(11, 13, 4)
    order = [2, 0, 3, 1]
    layer = kseg.DenseCRF(compatibility=compatibility, **SMALL)
    np.testing.assert_allclose(
        layer([logits[..., order], image]), layer([logits, image]).numpy()[..., order], atol=1e-5
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (13, 11), (2, 2)])
@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_size_number_of_classes_and_of_channels_works(size, classes, channels):
    logits, image = scene(*size, classes)
    result = kseg.DenseCRF(2)([logits, image[..., :channels]]).numpy()
    assert result.shape == (1, *size, classes)
    np.testing.assert_allclose(result.sum(axis=-1), 1, atol=1e-6)


def test_images_of_a_batch_do_not_influence_each_other():
    pairs = [scene(10, 12, 3, seed) for seed in range(3)]
    pairs[1][1][:] = 255.0
    layer = kseg.DenseCRF(**SMALL)
    together = layer([np.concatenate([pair[i] for pair in pairs]) for i in range(2)])
    np.testing.assert_array_equal(together, np.concatenate([layer(list(pair)) for pair in pairs]))
    assert layer([np.zeros((0, 10, 12, 3), np.float32), np.zeros((0, 10, 12, 3), np.float32)]).shape == (0, 10, 12, 3)


def test_a_full_matrix_starts_as_potts_and_a_given_matrix_is_used():
    logits, image = scene(9, 10, 3)
    potts = kseg.DenseCRF(**SMALL)([logits, image])
    full = kseg.DenseCRF(compatibility="full", **SMALL)
    np.testing.assert_allclose(full([logits, image]), potts, atol=1e-5)
    assert len(full.trainable_weights) == 3
    nothing = kseg.DenseCRF(compatibility=np.zeros((3, 3)), **SMALL)
    np.testing.assert_allclose(nothing([logits, image]), tf.nn.softmax(logits), atol=1e-6)
    # classes 0 and 1 may be neighbours at no cost, so neither displaces the other
    friends = 1 - np.eye(3)
    friends[0, 1] = friends[1, 0] = 0
    assert np.mean(kseg.DenseCRF(compatibility=friends, **SMALL)([logits, image])[..., :2]) > np.mean(potts[..., :2])


@pytest.mark.parametrize("compatibility", ["potts", [[0.0, 1.0, 0.5], [1.2, 0.1, 0.7], [0.3, 0.9, 0.0]]])
def test_gradients_equal_finite_differences(compatibility):
    logits, image = scene(6, 7, 3)
    layer = kseg.DenseCRF(compatibility=compatibility, activation=None, **SMALL)
    wanted = tf.random.stateless_normal(logits.shape, seed=(1, 2))
    scores = tf.Variable(logits)

    @tf.function
    def loss():
        return tf.reduce_sum(tf.cast(layer([scores, image]), tf.float64) * tf.cast(wanted, tf.float64))

    with tf.GradientTape() as tape:
        value = loss()
    variables = [scores, *(weight.value for weight in layer.trainable_weights)]
    assert len(variables) == (3 if compatibility == "potts" else 4)
    for variable, gradient in zip(variables, tape.gradient(value, variables), strict=True):
        direction = tf.random.stateless_normal(variable.shape, seed=(3, 4))
        step = 1e-2
        variable.assign_add(step * direction)
        above = loss()
        variable.assign_sub(2 * step * direction)
        below = loss()
        variable.assign_add(step * direction)
        slope = float(tf.reduce_sum(gradient * direction))
        assert abs(slope) > 0.01
        assert float(above - below) / (2 * step) == pytest.approx(slope, rel=5e-3)


def test_training_through_the_layer_lowers_the_loss():
    """CRF-as-RNN: the network in front and the kernels' weights learn together."""
    keras.utils.set_random_seed(0)
    draw = np.random.default_rng(0)
    label_maps = np.zeros((4, 16, 16), np.int32)
    label_maps[:, 4:12, 4:12] = 1
    images = np.clip(60 + 90 * label_maps[..., None] + draw.normal(0, 40, (4, 16, 16, 3)), 0, 255).astype(np.float32)
    image = keras.Input((None, None, 3))
    logits = keras.layers.Conv2D(2, 1)(keras.layers.Rescaling(1 / 255)(image))
    refined = kseg.DenseCRF(
        3,
        appearance_colour_sigma=40,
        smoothness_weight=0.2,
        appearance_weight=0.2,
        compatibility="full",
        activation=None,
    )([logits, image])
    model = keras.Model(image, refined)
    before = model.layers[-1].get_weights()
    model.compile(keras.optimizers.Adam(0.1), kseg.losses.CrossEntropy())
    losses = model.fit(images, label_maps, epochs=20, batch_size=4, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert all(np.abs(new - old).max() > 0.05 for new, old in zip(model.layers[-1].get_weights(), before, strict=True))


def model_with_crf(**settings):
    logits, image = keras.Input((None, None, 3), name="logits"), keras.Input((None, None, 3), name="image")
    return keras.Model([logits, image], kseg.DenseCRF(**settings)([logits, image]))


def test_a_keras_file_keeps_arguments_and_weights(tmp_path):
    model = model_with_crf(compatibility="full", **SMALL)
    model.layers[-1].set_weights([np.float32(0.7), np.float32(1.3), np.float32([[0, 1, 2], [3, 0, 1], [1, 1, 0]])])
    pair = list(scene(9, 11, 3))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(pair), model(pair))
    assert again.layers[-1].get_config() == model.layers[-1].get_config()


@pytest.mark.slow
def test_a_saved_model_predicts_batches_of_any_size_without_kseg(tmp_path):
    model = model_with_crf(**SMALL)
    tf.saved_model.save(model, str(tmp_path / "model"))
    for name, (height, width, batch) in {"a": (9, 11, 2), "b": (1, 1, 1)}.items():
        logits, image = (np.concatenate([part] * batch) for part in scene(height, width, 3))
        np.savez(tmp_path / f"{name}.npz", logits=logits, image=image, expected=model([logits, image]))
    code = f"""
import importlib.util, numpy as np, tensorflow as tf
served = tf.saved_model.load({str(tmp_path / "model")!r}).signatures["serving_default"]
for name in "ab":
    data = np.load({str(tmp_path)!r} + f"/{{name}}.npz")
    (result,) = served(inputs=tf.constant(data["logits"]), inputs_1=tf.constant(data["image"])).values()
    print(np.abs(result - data["expected"]).max() < 1e-6)
print(importlib.util.find_spec("kseg"))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    assert done.split() == ["True", "True", "None"]


def test_it_computes_in_float32_under_a_bfloat16_policy():
    logits, image = scene(9, 11, 3)
    expected = kseg.DenseCRF(**SMALL)([logits, image])
    for policy in ("mixed_bfloat16", "bfloat16"):
        layer = kseg.DenseCRF(dtype=policy, compatibility="full", **SMALL)
        result = layer([logits, image])
        assert result.dtype == tf.float32 and {weight.dtype for weight in layer.weights} == {"float32"}
        np.testing.assert_allclose(result, expected, atol=1e-5)
        assert model_with_crf(dtype=policy).output.dtype == "float32"


def test_no_gradient_reaches_the_image():
    logits, image = map(tf.constant, scene(5, 5, 2))
    with tf.GradientTape() as tape:
        tape.watch(image)
        result = kseg.DenseCRF(1)([logits, image])
    assert tape.gradient(result, image) is None


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"iterations": -1}, "iterations=-1"),
        ({"iterations": 1.5}, "iterations=1.5"),
        ({"iterations": "5"}, "iterations='5'"),
        ({"appearance_colour_sigma": 0}, "`appearance_colour_sigma` must be positive"),
        ({"smoothness_sigma": "3"}, "`smoothness_sigma` must be positive. Received: smoothness_sigma='3'"),
        ({"smoothness_weight": np.nan}, "`smoothness_weight` must be a finite number"),
        ({"appearance_weight": None}, "`appearance_weight` must be a finite number"),
        ({"iterations": np.inf}, "iterations=inf"),
        ({"compatibility": "pots"}, "compatibility='pots'"),
        ({"compatibility": None}, "or a matrix .* of finite numbers. Received: compatibility=None"),
        ({"compatibility": [[0, 1], [1]]}, "or a matrix .* of finite numbers"),
        ({"compatibility": [[0, np.nan], [1, 0]]}, "or a matrix .* of finite numbers"),
        ({"from_logits": "no"}, "`from_logits` must be True or False. Received: from_logits='no'"),
        ({"activation": "relu"}, "activation='relu'"),
    ],
)
def test_arguments_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        kseg.DenseCRF(**settings)


@pytest.mark.parametrize(
    ("name", "cure"),
    [("iteration", r"Did you mean 'iterations'\?"), ("num_labels", r"It has iterations, smoothness_sigma")],
)
def test_an_unknown_argument_is_refused_by_name_with_the_nearest_known_one(name, cure):
    with pytest.raises(TypeError, match=rf"DenseCRF has no argument '{name}'\. {cure}"):
        kseg.DenseCRF(**{name: 3})


def test_inputs_that_do_not_fit_are_refused():
    logits, image = scene(5, 5, 2)
    with pytest.raises(ValueError, match=r"one row and column per class. Received: shape \(3, 3\)"):
        kseg.DenseCRF(compatibility=np.eye(3))([logits, image])
    with pytest.raises(ValueError, match=r"must be called on \[logits \(B, H, W, K\), image"):
        kseg.DenseCRF()([logits[0], image[0]])
    for inputs in (logits, [logits, image, image], {"logits": logits, "image": image}, [logits, image[..., :0]]):
        with pytest.raises(ValueError, match=r"must be called on \[logits .*Received: shapes "):
            kseg.DenseCRF()(inputs)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Make them larger"):
        kseg.DenseCRF(appearance_colour_sigma=1e-5)([logits, image])


def test_an_image_with_height_and_width_swapped_is_refused():
    logits, image = scene(5, 7, 2)
    layer = kseg.DenseCRF(1)
    layer([logits, image])
    message = (
        r"same batch, height and width.*logits of shape \(1, 5, 7, 2\).*image of shape \(1, 7, 5, 3\).*are swapped"
    )
    with pytest.raises(ValueError, match=message):
        layer([logits, image.swapaxes(1, 2)])
    with pytest.raises(ValueError, match=r"image of shape \(1, 5, 6, 3\)\. Resize one of them"):
        layer([logits, image[:, :, 1:]])
    with pytest.raises(ValueError, match=r"image of shape \(2, 5, 7, 3\)"):
        layer([logits, np.concatenate([image, image])])


def test_the_replica_of_a_swapped_image_and_a_pixel_that_is_nan_ends_in_its_refusals():
    """Case B6 of the layouts: scores of 20 x 31, an image of the same size, of 31 x 20 and of 10 x 31, and one NaN."""
    draw = np.random.default_rng(0)
    image = np.zeros((1, 20, 31, 3), np.float32)
    image[:, :, 15:] = 255
    truth = np.arange(31)[None].repeat(20, 0) >= 15
    scores = (np.stack([~truth, truth], -1)[None] + draw.normal(0, 0.6, (1, 20, 31, 2))).astype(np.float32)
    right = np.asarray(kseg.DenseCRF(5)([scores, image])).argmax(-1)[0]
    assert (right == truth).mean() > (scores.argmax(-1)[0] == truth).mean()
    with pytest.raises(ValueError, match="height and width are swapped"):
        kseg.DenseCRF(5)([scores, image.transpose(0, 2, 1, 3)])
    with pytest.raises(ValueError, match=r"must have the same batch, height and width\. Received: .*\(1, 10, 31, 3\)"):
        kseg.DenseCRF(5)([scores, image[:, :10]])
    scores[0, 3, 3] = np.nan
    with pytest.raises(ValueError, match=r"must be finite\. Received: NaN or infinity at 2 of 1240 values"):
        kseg.DenseCRF(5)([scores, image])


def test_sizes_that_differ_are_refused_when_a_model_is_built_and_when_a_graph_runs():
    logits, image = keras.Input((5, 7, 2)), keras.Input((7, 5, 3))
    with pytest.raises(ValueError, match="are swapped"):
        kseg.DenseCRF(1)([logits, image])
    kinds = [tf.TensorSpec((None, None, None, channels)) for channels in (2, 3)]
    layer = kseg.DenseCRF(1)
    refine = tf.function(lambda *pair: layer(list(pair)), input_signature=kinds)
    logits, image = map(tf.constant, scene(5, 7, 2))
    assert refine(logits, image).shape == (1, 5, 7, 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Logits and image must have the same batch and size"):
        refine(logits, tf.transpose(image, (0, 2, 1, 3)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Logits and image must have the same batch and size"):
        refine(logits, tf.concat([image, image], axis=0))


@pytest.mark.parametrize(("part", "value"), [(0, np.nan), (1, np.inf)], ids=["logits", "image"])
def test_in_a_graph_a_pixel_that_is_not_finite_spoils_no_other(part, value):
    pair = list(scene(9, 11, 3))
    refine = tf.function(kseg.DenseCRF(2))
    whole = refine([tf.constant(values) for values in pair]).numpy()
    pair[part] = pair[part].copy()
    pair[part][0, 4, 5, 1] = value
    refined = refine([tf.constant(values) for values in pair]).numpy()
    assert np.isnan(refined[0, 4, 5]).all() and np.isnan(refined).sum() == 3
    others = np.isfinite(refined)
    assert np.abs(refined[others] - whole[others]).max() < 0.1


def test_an_image_in_0_to_1_is_warned_of_and_one_in_0_to_255_is_not():
    logits, image = scene(5, 7, 2)
    with pytest.warns(UserWarning, match=r"must lie in \[0, 255\].*\[DenseCRF\]. Multiply by 255"):
        kseg.DenseCRF(1)([logits, image / 255])
    with warnings.catch_warnings(action="error"):
        kseg.DenseCRF(1)([logits, image])


def test_values_that_are_not_finite_and_negative_probabilities_are_refused_by_name():
    logits, image = scene(5, 7, 2)
    broken = logits.copy()
    broken[0, 2, 3, 1] = np.nan
    with pytest.raises(ValueError, match=r"`logits` must be finite.*at 1 of 70 values"):
        kseg.DenseCRF(1)([broken, image])
    with pytest.raises(ValueError, match=r"`probabilities` must be at least 0.*Set from_logits=True"):
        kseg.DenseCRF(1, from_logits=False)([logits, image])
    image[0, 0, 0, 0] = np.inf
    with pytest.raises(ValueError, match=r"Images must be finite.*\[DenseCRF\]"):
        kseg.DenseCRF(1)([logits, image])
