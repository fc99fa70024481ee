"""Predict what eight heads cost."""

from attnfuse.checking import Exercise, properties


def costs(D, T, N):
    """Parameters, multiplications and weights of attention with N heads, counted one by one."""
    H = D // N
    parameters = multiplications = weights = 0
    for _ in range(N):
        parameters += 3 * D * H  # this head's columns of the projections of query, key and value
        multiplications += 3 * T * D * H  # these three projections, for T words
        multiplications += T * T * H  # scores: T·T dot products of width H
        multiplications += T * T * H  # context: T mixtures of T values of width H
        weights += T * T
    return parameters + D * D, multiplications + T * D * D, weights  # and the output projection


def cost_factors():
    one, eight = costs(512, 100, 1), costs(512, 100, 8)
    return tuple(many / few for many, few in zip(eight, one, strict=True))


def sketch(*, parameters=1, multiplications=1, weights=8):
    return parameters, multiplications, weights


HEAD_COST = Exercise(
    name="head_cost",
    lesson="04_multi_head_attention",
    title="What do eight heads cost?",
    kind="predict",
    minutes=5,
    difficulty=1,
    points=2,
    reference=cost_factors,
    value=True,
    outputs={"factors": "three"},
    properties=[properties.each_number("factors")],
    sketch=sketch,
    says="""
    parameters: eight whole matrices | Side by side, eight matrices of 512×64 *are* one of 512×512: not one parameter more.
    parameters: one head's | One narrow head has an eighth of the parameters. There are eight of them.
    parameters: three of four grow | $W^Q$, $W^K$ and $W^V$ are cut into columns for the heads, as $W^O$ is into rows: none of the four grows.
    parameters: one head and the output | You counted $W^O$ and the three matrices of *one* head. There are eight heads.
    multiplications: eight wide ones | There are eight times as many dot products, each with an eighth of the terms.
    multiplications: one head's | Each dot product has an eighth of the terms. But every pair of words now has eight of them.
    weights: as before | Each head has a table of weights of its own, 100×100, and there are eight.
    weights: fewer | A head's table of weights has a row for each query and a column for each key. The width is not in it, so it stays 100×100, and there are eight.
    weights: squared | Eight tables of 100×100: the number of tables counts once, not squared.
    weights: an amount | 80,000 is the amount for eight heads. Asked is a factor: divide by the amount for one head.
    every head costs a whole attention | You count eight attentions of full width. The heads *share* the width: each projects to 64 columns and its dot products have 64 terms, an eighth of the work. (Only the tables of weights are eight.)
    amounts instead of factors | These are the amounts for eight heads. Asked are factors: divide by the amounts for one head.
    another order | The order is parameters, multiplications, weights.
    """,
    choices={
        "parameters": {
            "parameters: eight whole matrices": 8,
            "parameters: one head's": 1 / 8,
            "parameters: three of four grow": 25 / 4,
            "parameters: one head and the output": 11 / 32,
        },
        "multiplications": {
            "multiplications: eight wide ones": 8,
            "multiplications: one head's": 1 / 8,
        },
        "weights": {
            "weights: as before": 1,
            "weights: fewer": 1 / 8,
            "weights: squared": 64,
            "weights: an amount": 80_000,
        },
    },
    wholes={
        "every head costs a whole attention": (8, 8, 8),
        "amounts instead of factors": costs(512, 100, 8),
        "another order": (8, 1, 1),
    },
    reread="section 4",
    hint="Write the shapes of everything for one head of width 512, then for one of width 64. Multiply the second by eight.",
    rtol=1e-2,
)
