import numpy as np
import pytest

from attnfuse.data import digits


@pytest.fixture
def split(monkeypatch):
    monkeypatch.delenv("ATTNFUSE_QUICK", raising=False)
    return digits.load(seed=3)


def test_sizes_and_range(split):
    assert split.train_images.shape == (1000, 64)
    assert split.validation_images.shape == (300, 64)
    assert split.test_images.shape == (497, 64)
    for images, labels in zip(split[::2], split[1::2], strict=True):
        assert images.dtype == np.float64
        assert images.min() == 0
        assert images.max() == 1
        assert len(images) == len(labels)
        assert set(labels) == set(range(10))


def test_no_picture_is_in_two_parts(split):
    everything = np.concatenate(split[::2])
    reference, _ = digits._everything()
    assert sorted(map(bytes, everything)) == sorted(map(bytes, reference))


def test_images_keep_their_labels(split):
    images, labels = digits._everything()
    known = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    assert all(
        known[i.tobytes()] == n for i, n in zip(split.test_images, split.test_labels, strict=True)
    )


def test_the_seed_decides():
    same, again, other = digits.load(0), digits.load(0), digits.load(1)
    np.testing.assert_array_equal(same.train_images, again.train_images)
    assert not np.array_equal(same.train_images, other.train_images)


def test_a_split_can_be_changed_without_harm():
    first = digits.load(0)
    first.train_images[:] = 7
    assert digits.load(0).train_images.max() == 1


def test_quick_mode(monkeypatch):
    monkeypatch.setenv("ATTNFUSE_QUICK", "1")
    assert [len(part) for part in digits.load(0)] == [100, 100, 60, 60, 100, 100]


def test_one_hot():
    np.testing.assert_array_equal(digits.one_hot(np.array([2, 0])), np.eye(10)[[2, 0]])


def test_neighbours_in_the_file_flatter_a_random_split():
    images, labels = digits._everything()

    def read_by_nearest(order):
        right = 0
        for start in range(0, len(order), 130):
            test, train = order[start : start + 130], np.delete(order, np.s_[start : start + 130])
            distance = (images[train] ** 2).sum(1) - 2 * images[test] @ images[train].T
            right += (labels[train][distance.argmin(axis=1)] == labels[test]).sum()
        return right / len(order)

    in_order = np.arange(len(images))
    assert round(read_by_nearest(in_order), 2) == 0.97
    assert round(read_by_nearest(np.random.default_rng(0).permutation(in_order)), 2) == 0.99
