"""Drive the answers of lesson 07."""

import numpy as np

from attnfuse.driving.answer import Unusable
from attnfuse.driving.layers import make_layer


def decode(candidate, tokens, letter_states, is_letter, weights, heads):
    """Make the learner's layer, give it the weights, call it."""
    D, hidden = weights["widen.kernel"].shape
    names = len(weights["embed.embeddings"])
    layer = make_layer(candidate, names=names, width=D, heads=heads, hidden=hidden)
    wide, letters = (*tokens.shape, D), letter_states.shape
    shapes = dict.fromkeys(("norm_1", "norm_2", "norm_3", "widen"), (wide,))
    shapes |= {"embed": (tokens.shape,), "narrow": ((*tokens.shape, hidden),)}
    shapes |= {"look_back": (wide, wide), "look_at_letters": (wide, letters)}
    for name in ("positions", *shapes):
        if not hasattr(layer, name):
            raise Unusable(f"The layer has no `{name}`. Keep `__init__` as it was given.")
    layer.positions = weights["positions"]
    for name, shape in shapes.items():  # whatever `call` does
        part = getattr(layer, name)
        if not part.built:
            part.build(*shape)
            part.built = True
    for name, value in weights.items():
        part, _, weight = name.partition(".")
        if weight:
            getattr(getattr(layer, part), weight).assign(value)
    output = layer(tokens, letter_states, is_letter)
    return None if output is None else np.asarray(output)


def step_by_step(candidate, x, query_matrix, key_matrix, value_matrix, last=()):
    """Feed positions `(B, 1, D)` one by one, handing back what the last step returned.

    `last` holds the key and value matrix of the last step, if they are others there.
    """
    past, contexts = None, []
    for t in range(x.shape[1]):
        matrices = last if len(last) and t == x.shape[1] - 1 else (key_matrix, value_matrix)
        result = candidate(x[:, t : t + 1].copy(), past, query_matrix, *matrices)
        if result is None:
            return None
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise Unusable("Return two things, `context` and `past`.")
        context, past = result
        if context is None or isinstance(context, tuple | list | dict):
            raise Unusable(
                "Your first output must be the context, one array. `scaled_dot_product_attention` returns a pair, "
                "`(context, weights)`: take the first; and return the context before the past."
            )
        contexts.append(np.asarray(context))
    return np.concatenate(contexts, axis=1)


def write(candidate, step, width, longest):
    """The written tokens as text, so that their number is no shape."""
    tokens = candidate(step, width, longest)
    if tokens is None:
        return None
    try:
        return f"[{', '.join(f'{token:g}' for token in np.ravel(tokens).astype(float))}]"
    except (TypeError, ValueError):
        raise Unusable("Return the list of written tokens, and nothing beside it.") from None
