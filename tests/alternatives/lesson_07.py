"""Right answers to the exercises of lesson 07, written differently."""

from functools import cache

import numpy as np

from attnfuse.settings import quiet

PAD, START, END = 0, 1, 2

# --- edit_distance


def distance_by_rows(said, right):
    row = list(range(len(right) + 1))
    for i, one in enumerate(said):
        above, row = row, [i + 1]
        for j, other in enumerate(right):
            row.append(min(above[j + 1] + 1, row[j] + 1, above[j] + (one != other)))
    return row[-1]


def distance_by_table(said, right):
    table = np.zeros((len(said) + 1, len(right) + 1), int)
    table[:, 0] = np.arange(len(said) + 1)
    table[0] = np.arange(len(right) + 1)
    for i in range(len(said)):
        for j in range(len(right)):
            table[i + 1, j + 1] = min(
                table[i, j + 1] + 1, table[i + 1, j] + 1, table[i, j] + int(said[i] != right[j])
            )
    return table[-1, -1]


def distance_from_the_end(said, right):
    @cache
    def go(i, j):
        if not i or not j:
            return i + j
        return min(
            go(i - 1, j) + 1, go(i, j - 1) + 1, go(i - 1, j - 1) + (said[i - 1] != right[j - 1])
        )

    return float(go(len(said), len(right)))


def distance_by_search(said, right):
    """Breadth first over the cells of the table: matches are free."""

    def slide(i, j):
        while i < len(said) and j < len(right) and said[i] == right[j]:
            i, j = i + 1, j + 1
        return i, j

    goal, reached, edits = (len(said), len(right)), {slide(0, 0)}, 0
    while goal not in reached:
        steps = {(i + a, j + b) for i, j in reached for a, b in ((1, 0), (0, 1), (1, 1))}
        reached |= {slide(i, j) for i, j in steps if i <= goal[0] and j <= goal[1]}
        edits += 1
    return edits


# --- phoneme_error


def _said(row):
    from attnfuse.data import spelling

    return spelling.to_sounds(row)


def error_by_min(written, sounds):
    from attnfuse.data import spelling

    edits = phonemes = 0
    for row, accepted in zip(written, sounds, strict=True):
        said = spelling.to_sounds(row)
        nearest = min(accepted, key=lambda right: spelling.edit_distance(said, right))
        edits += spelling.edit_distance(said, nearest)
        phonemes += len(nearest)
    return edits / phonemes


def error_by_arrays(written, sounds):
    table = [
        [distance_by_rows(_said(r), s) for s in all_]
        for r, all_ in zip(written, sounds, strict=True)
    ]
    best = [int(np.argmin(row)) for row in table]
    edits = np.array([row[i] for row, i in zip(table, best, strict=True)])
    lengths = np.array([len(all_[i]) for all_, i in zip(sounds, best, strict=True)])
    return edits.sum() / lengths.sum()


def error_by_weighted_mean(written, sounds):
    rates, lengths = [], []
    for row, accepted in zip(written, sounds, strict=True):
        pairs = [(distance_by_table(_said(row), right), len(right)) for right in accepted]
        edits, length = min(pairs, key=lambda pair: pair[0])
        rates.append(edits / length)
        lengths.append(length)
    return np.average(rates, weights=lengths)


# --- decoder


def _layer(rule):
    """A layer class with the given parts whose `call` is `rule(layer, tokens, states, is_letter)`."""

    def make(names, width, heads, hidden):
        with quiet():
            import keras

            from attnfuse import attention, layers

        class Decoder(keras.layers.Layer):
            def __init__(self):
                super().__init__()
                self.positions = attention.sinusoidal_positions(64, width).astype("float32")
                self.embed = keras.layers.Embedding(names, width)
                norms = [keras.layers.LayerNormalization(epsilon=1e-5) for _ in range(3)]
                self.norm_1, self.norm_2, self.norm_3 = norms
                self.look_back = layers.MultiHeadAttention(heads, width)
                self.look_at_letters = layers.MultiHeadAttention(heads, width)
                self.widen = keras.layers.Dense(hidden, activation="relu")
                self.narrow = keras.layers.Dense(width)

            def call(self, tokens, letter_states, is_letter):
                return rule(self, tokens, letter_states, is_letter)

        return Decoder()

    # The engine is given a class; it only has to make a layer from the sizes.
    return type(rule.__name__, (), {"__new__": lambda cls, **sizes: make(**sizes)})


def _as_asked(layer, tokens, letter_states, is_letter):
    x = layer.embed(tokens) + layer.positions[: tokens.shape[1]]
    normed = layer.norm_1(x)
    x = x + layer.look_back(normed, normed, causal=True)
    x = x + layer.look_at_letters(layer.norm_2(x), letter_states, mask=is_letter[:, None])
    return x + layer.narrow(layer.widen(layer.norm_3(x)))


def _with_masks_of_its_own(layer, tokens, letter_states, is_letter):
    from keras import ops

    T = tokens.shape[1]
    x = layer.embed(tokens) + layer.positions[None, :T]
    normed = layer.norm_1(x)
    back = layer.look_back(normed, normed, normed, mask=np.tri(T, dtype=bool))
    after = ops.add(x, back)
    letters = ops.repeat(ops.convert_to_tensor(is_letter)[:, None], T, axis=1)
    look = layer.look_at_letters(
        query=layer.norm_2(after), key=letter_states, value=letter_states, mask=letters
    )
    after = ops.add(after, look)
    return ops.add(after, layer.narrow(layer.widen(layer.norm_3(after))))


def _by_the_parts_of_attention(layer, tokens, letter_states, is_letter):
    T = tokens.shape[1]
    x = layer.positions[:T] + layer.embed(tokens)
    normed = layer.norm_1(x)
    keys, values = layer.look_back.project_memory(normed)
    query = layer.look_back.project_query(normed)
    x += layer.look_back.attend(query, keys, values, np.tri(T, dtype=bool)[None, None])[0]
    query = layer.look_at_letters.project_query(layer.norm_2(x))
    memory = layer.look_at_letters.project_memory(letter_states)
    x += layer.look_at_letters.attend(query, *memory, is_letter[:, None, None])[0]
    return layer.narrow(layer.widen(layer.norm_3(x))) + x


# --- cached_step


def step_by_concatenation(x, past, query_matrix, key_matrix, value_matrix):
    from attnfuse import attention

    keys, values = x @ key_matrix, x @ value_matrix
    if past is not None:
        keys = np.concatenate([past[0], keys], axis=1)
        values = np.concatenate([past[1], values], axis=1)
    context, _ = attention.scaled_dot_product_attention(x @ query_matrix, keys, values)
    return context, (keys, values)


def step_with_lists(x, past, query_matrix, key_matrix, value_matrix):
    past = [*(past or []), (x @ key_matrix, x @ value_matrix)]
    keys, values = (np.concatenate(both, axis=1) for both in zip(*past, strict=True))
    scores = np.einsum("btd,bsd->bts", x @ query_matrix, keys) * keys.shape[-1] ** -0.5
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    return np.einsum("bts,bsv->btv", weights, values), past


def step_with_dict(x, past, query_matrix, key_matrix, value_matrix):
    kept = past or {"keys": [], "values": []}
    kept = {"keys": [*kept["keys"], x @ key_matrix], "values": [*kept["values"], x @ value_matrix]}
    keys, values = (np.concatenate(kept[name], axis=1) for name in ("keys", "values"))
    scores = x @ query_matrix @ keys.swapaxes(1, 2) / np.sqrt(keys.shape[-1])
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    return weights @ values, kept


# --- beam_search


def beam_by_sorting(step, width, longest):
    beginnings, finished = [([], 0.0)], []
    for _ in range(longest):
        longer = [
            ([*tokens, token], total + float(np.log(p)))
            for tokens, total in beginnings
            for token, p in enumerate(step(tokens))
            if p > 0
        ]
        longer = sorted(longer, key=lambda pair: pair[1], reverse=True)[:width]
        finished += [pair for pair in longer if pair[0][-1] == END]
        beginnings = [pair for pair in longer if pair[0][-1] != END]
    tokens, _ = max(finished or beginnings, key=lambda pair: pair[1] / len(pair[0]))
    return tokens[:-1] if tokens[-1] == END else tokens


def beam_by_products(step, width, longest):
    """Multiplies probabilities; the mean of logarithms is the geometric mean."""
    open_, done = {(): 1.0}, {}
    for _ in range(longest):
        longer = {
            (*w, k): p * q for w, p in open_.items() for k, q in enumerate(step(list(w))) if q
        }
        best = sorted(longer, key=longer.get)[::-1][:width]
        done |= {w: longer[w] for w in best if w[-1] == END}
        open_ = {w: longer[w] for w in best if w[-1] != END}
    pool = done or open_
    best = max(pool, key=lambda w: pool[w] ** (1 / len(w)))
    return np.array([k for k in best if k != END], int)


def beam_with_heap(step, width, longest):
    import heapq

    beginnings, finished = [(0.0, [])], []
    for _ in range(longest):
        longer = []
        for total, tokens in beginnings:
            with np.errstate(divide="ignore"):
                gains = np.log(step(tokens))
            possible = np.flatnonzero(gains > -np.inf)
            longer += [(total + gains[k], [*tokens, int(k)]) for k in possible]
        best = heapq.nlargest(width, longer, key=lambda pair: pair[0])
        finished += [pair for pair in best if pair[1][-1] == END]
        beginnings = [pair for pair in best if pair[1][-1] != END]
        if not beginnings:
            break
    pool = finished if finished else beginnings
    means = [total / len(tokens) for total, tokens in pool]
    return [k for k in pool[int(np.argmax(means))][1] if k != END]


ALTERNATIVES = {
    "edit_distance": [
        distance_by_rows,
        distance_by_table,
        distance_from_the_end,
        distance_by_search,
    ],
    "phoneme_error": [error_by_min, error_by_arrays, error_by_weighted_mean],
    "decoder": [
        _layer(_as_asked),
        _layer(_with_masks_of_its_own),
        _layer(_by_the_parts_of_attention),
    ],
    "smoothing": [["B", "A", False], ("B", "A", 0)],
    "cached_step": [step_by_concatenation, step_with_lists, step_with_dict],
    "beam_search": [beam_by_sorting, beam_by_products, beam_with_heap],
}
