"""What layers and functions draw for themselves: dropout, slopes of rrelu, pooling regions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.goldens.values import checksum, described

SEED = 3

# F is torch.nn.functional; x has gaps in memory, y lies there transposed, d numbers all elements
EXPRESSIONS = (
    *(f"F.dropout({x}, {p})" for x in ("ones(40)", "d", "x", "y") for p in (0.1, 0.5, 0.9)),
    "F.dropout(ones(300, 200), 0.25)",
    "F.dropout(ones(6), 0.0)",
    "F.dropout(ones(6), 1.0)",
    "F.dropout(ones(6), 0.5, training=False)",
    "F.dropout(ones(30), 0.3, inplace=True)",
    "F.dropout(y, 0.3, inplace=True)",
    "F.dropout(ones(30).double(), 0.3)",
    "F.dropout(ones(30).half(), 0.3)",
    "F.dropout(ones(30).bfloat16(), 0.3)",
    "F.dropout1d(d[0], 0.5)",
    "F.dropout1d(d.flatten(2), 0.5)",
    "F.dropout2d(d, 0.5)",
    "F.dropout2d(d, 0.5, inplace=True)",
    "F.dropout2d(d.transpose(1, 3), 0.5)",
    "F.dropout3d(d.unsqueeze(2), 0.5)",
    "F.dropout3d(d, 0.5)",
    "F.alpha_dropout(d, 0.2, training=True)",
    "F.alpha_dropout(y, 0.2, training=True)",
    "F.alpha_dropout(ones(30), 0.2, training=True, inplace=True)",
    "F.feature_alpha_dropout(d, 0.5, training=True)",
    "torch.dropout(x, 0.3, True)",
    "torch.feature_dropout(d, 0.3, True)",
    "torch.alpha_dropout(x, 0.3, True)",
    "torch.feature_alpha_dropout(d, 0.3, True)",
    "torch.dropout_(ones(30), 0.3, True)",
    "nn.Dropout(0.4)(x)",
    "nn.Dropout(0.4, inplace=True)(ones(30))",
    "nn.Dropout(0.4).eval()(ones(5))",
    "nn.Dropout1d(0.4)(d.flatten(2))",
    "nn.Dropout2d(0.4)(d)",
    "nn.Dropout3d(0.4)(d)",
    "nn.AlphaDropout(0.4)(x)",
    "nn.FeatureAlphaDropout(0.4)(d)",
    "nn.Sequential(nn.Dropout(0.2), nn.Dropout(0.5))(d)",
    "F.rrelu(x - 9, training=True)",
    "F.rrelu(y - 9, 0.1, 0.4, training=True)",
    "F.rrelu(d.double() - 60, 0.1, 0.4, training=True)",
    "F.rrelu(d.bfloat16() - 60, 0.1, 0.4, training=True)",
    "F.rrelu(ones(9).neg(), 0.1, 0.4, training=True, inplace=True)",
    "torch.rrelu_(ones(9).neg(), 0.1, 0.4, True)",
    "torch.rrelu(ones(9).neg(), 0.1, 0.4, True, torch.Generator().manual_seed(1))",
    "nn.RReLU(0.2, 0.3)(x - 9)",
    "F.gumbel_softmax(ones(5, 7))",
    "F.gumbel_softmax(ones(5, 7), tau=0.3, hard=True)",
    "F.gumbel_softmax(y, dim=0)",
    "F.gumbel_softmax(ones(30).double())",
    "F.fractional_max_pool2d(d, 2, output_size=(2, 3))",
    "F.fractional_max_pool2d(d, 2, output_ratio=(0.6, 0.7), return_indices=True)[1]",
    "F.fractional_max_pool3d(d.unsqueeze(2).repeat(1, 1, 4, 1, 1), 2, output_size=(2, 2, 3))",
    "nn.FractionalMaxPool2d((2, 1), output_size=3)(d)",
    "F.scaled_dot_product_attention(q, q, q, dropout_p=0.4)",
    "F.scaled_dot_product_attention(q, q, q, dropout_p=0.4, is_causal=True)",
    "F.scaled_dot_product_attention(q, q, q, ones(5, 5).tril(), dropout_p=0.4)",
    "torch.rand(2)",
)

# networks with dropout in them, in training: what they give, twice
NETWORKS = {
    "MultiheadAttention": ("nn.MultiheadAttention(8, 2, dropout=0.3)", "net(s, s, s)"),
    "MultiheadAttention without weights": (
        "nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=True)",
        "net(s, s, s, need_weights=False)[:1]",
    ),
    "MultiheadAttention in evaluation": (
        "nn.MultiheadAttention(8, 2, dropout=0.3).eval()",
        "net(s, s, s)",
    ),
    "RNN": ("nn.RNN(8, 6, 3, dropout=0.4)", "net(s)"),
    "LSTM": ("nn.LSTM(8, 6, 2, dropout=0.4)", "(net(s)[0],)"),
    "LSTM both ways": (
        "nn.LSTM(8, 6, 3, dropout=0.4, bidirectional=True, batch_first=True)",
        "(net(s)[0],)",
    ),
    "GRU": ("nn.GRU(8, 6, 2, dropout=0.4)", "net(s)"),
    "GRU in evaluation": ("nn.GRU(8, 6, 2, dropout=0.4).eval()", "net(s)"),
    "packed LSTM": (
        "nn.LSTM(8, 6, 2, dropout=0.4)",
        "(net(nn.utils.rnn.pack_padded_sequence(s, [4, 3, 1]))[0].data,)",
    ),
    "TransformerEncoderLayer": ("nn.TransformerEncoderLayer(8, 2, 16)", "(net(s),)"),
    "TransformerEncoderLayer batch first": (
        "nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)",
        "(net(s),)",
    ),
    "TransformerDecoderLayer": ("nn.TransformerDecoderLayer(8, 2, 16)", "(net(s, s),)"),
    "TransformerDecoderLayer batch first": (
        "nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)",
        "(net(s, s),)",
    ),
    "Transformer": ("nn.Transformer(8, 2, 1, 1, 16)", "(net(s, s),)"),
    "Transformer batch first": ("nn.Transformer(8, 2, 2, 2, 16, batch_first=True)", "(net(s, s),)"),
}


# tensors that lie in memory in another order than that of their dimensions: draws follow memory
LAYOUTS = {
    "dropout of a sum of transposed tensors": "F.dropout(y + 1, 0.5)",
    "dropout of a product with a row": "F.dropout(y * ones(1, 6), 0.5)",
    "dropout after an activation": "F.dropout(F.relu(y), 0.5)",
    "dropout of an attention's output": (
        "F.dropout(F.scaled_dot_product_attention(q, q, q).transpose(1, 2), 0.5)"
    ),
    "positions added to a permuted batch": "F.dropout(s.permute(1, 0, 2) + ones(3, 1, 8), 0.5)",
    "normal_ into a result": "(y * 2).normal_()",
    "rand_like a result": "torch.rand_like(y * 2)",
    "two in a row": "F.dropout(F.dropout(y, 0.5), 0.5)",
    "a view of a result": "F.dropout((y + 1).t()[2:], 0.5)",
    "a row of a result": "F.dropout((y + 1)[3], 0.5)",
    "a reshaped result": "F.dropout((y + 1).reshape(-1), 0.5)",
    "a contiguous copy of a result": "F.dropout((y + 1).contiguous(), 0.5)",
    "a copy of a result": "F.dropout((y + 1).clone(), 0.5)",
    "a result in another dtype": "F.dropout((y + 1).double(), 0.5)",
    "a result without history": "F.dropout((y + 1).detach(), 0.5)",
    "contiguous and permuted operands": "F.dropout(torch.ones(8, 6) + y, 0.5)",
    "permuted and contiguous operands": "F.dropout(y + torch.ones(8, 6), 0.5)",
    "two permutations": "F.dropout(s.permute(1, 0, 2)[:, :3] * s[:3], 0.5)",
    "a choice": "F.dropout(torch.where(y > 3, y, 0.0), 0.5)",
    "a gate": "F.dropout(F.glu(s.permute(1, 0, 2)), 0.5)",
    "a normalised layer": (
        "F.dropout(F.layer_norm(s.permute(1, 0, 2) * torch.arange(8.0), (8,)), 0.5)"
    ),
    "a product of matrices": "F.dropout(s.permute(1, 0, 2) @ torch.ones(8, 5), 0.5)",
    "a softmax": "F.dropout(y.softmax(0), 0.5)",
    "a sum over a dimension": "F.dropout(d.permute(3, 2, 1, 0).sum(1), 0.5)",
    "channels": "F.dropout(d.transpose(1, 3) * torch.ones(2, 1, 1, 3), 0.5)",
    "a concatenation": "F.dropout(torch.cat([y * 2, y]), 0.5)",
    "bernoulli of a result": "torch.bernoulli(y / 48)",
    "empty_like of a result": "torch.empty_like(y * 2).uniform_()",
    "multinomial of a result": "torch.multinomial(y + 1, 1)",
}


def names(torch: Any) -> dict[str, Any]:
    """What the expressions may use."""
    counted = torch.arange(120.0)
    return {
        "torch": torch,
        "nn": torch.nn,
        "F": torch.nn.functional,
        "ones": torch.ones,
        "d": counted.reshape(2, 3, 4, 5).clone(),
        "x": counted.reshape(20, 6)[::2].detach() / 3,
        "y": counted[:48].reshape(6, 8).clone().t(),
        "q": (counted[:80] / 80).sin().reshape(2, 2, 5, 4),
        "s": (counted[:96] / 96).cos().reshape(4, 3, 8),
    }


def evaluated(torch: Any, expression: str) -> dict[str, Any]:
    """What an expression gives after seeding, and the state that it leaves."""
    torch.manual_seed(SEED)
    result = eval(expression, names(torch))
    return {"result": described(torch, result), "state": checksum(torch, torch.get_rng_state())}


def trained(torch: Any, made: str, called: str) -> dict[str, Any]:
    """What a network gives, called twice after seeding, and its gradients."""
    known = names(torch)
    torch.manual_seed(SEED)
    known["net"] = eval(made, known)
    results = []
    for _ in range(2):
        given = eval(called, known)
        results += [described(torch, each) for each in given]
        given[0].square().mean().backward()
    grads = {
        name: described(torch, weight.grad) for name, weight in known["net"].named_parameters()
    }
    first = next(iter(grads))
    return {
        "results": results,
        "gradient": grads[first],
        "state": checksum(torch, torch.get_rng_state()),
    }


def tolerances(case: str) -> dict[str, float]:
    """Masks are exact; what is computed from them is rounded differently on each processor."""
    exact = case.startswith(("F.dropout", "torch.dropout", "nn.Dropout"))
    return {} if exact else {"relative": 2e-5, "absolute": 2e-5}


def cases(torch: Any) -> dict[str, Callable[[], Any]]:
    """All of them."""
    table: dict[str, Callable[[], Any]] = {
        each: lambda each=each: evaluated(torch, each) for each in EXPRESSIONS
    }
    for name, (made, called) in NETWORKS.items():
        table[name] = lambda made=made, called=called: trained(torch, made, called)
    for name, expression in LAYOUTS.items():
        table[name] = lambda expression=expression: evaluated(torch, expression)
    return table
