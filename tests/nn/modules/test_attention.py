"""Attention and transformers with masks. Same scenario, both libraries."""

import pytest

import fakel
from tests.nn.both import compare, scenarios

torch = pytest.importorskip("torch")


def masks(library, report):
    attention = library.nn.MultiheadAttention(8, 2, batch_first=True)
    x = library.randn(3, 4, 8)
    causal = library.nn.Transformer.generate_square_subsequent_mask(4)
    padding = library.tensor([[False] * 4, [False, False, True, True], [False] * 3 + [True]])
    report(causal, attention(x, x, x, attn_mask=causal))
    report(attention(x, x, x, attn_mask=causal < 0, average_attn_weights=False))
    report(attention(x, x, x, key_padding_mask=padding))
    report(attention(x, x, x, key_padding_mask=padding, need_weights=False))
    report(attention(x, x, x, attn_mask=causal, is_causal=True, need_weights=False))
    report(lambda: attention(x, x, x, attn_mask=library.zeros(3, 3)))
    report(attention(x, x, x, key_padding_mask=padding, attn_mask=causal)[0])
    report(lambda: attention(x, x, x, attn_mask=causal.long()))
    report(attention(x[0], x[0], x[0], attn_mask=causal), attention(x[:, :2], x, x))
    report(lambda: library.nn.MultiheadAttention(7, 2), lambda: library.nn.MultiheadAttention(0, 2))


def encoder(library, report):
    nn = library.nn
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8))
    x = library.randn(3, 4, 8)
    padding = library.tensor([[False] * 4, [False, False, True, True], [False] * 3 + [True]])
    causal = nn.Transformer.generate_square_subsequent_mask(4)
    report(model, model(x), model(x, mask=causal), model(x, src_key_padding_mask=padding))
    report(model(x, mask=causal, is_causal=True))
    model.eval()
    report(model(x, src_key_padding_mask=padding))
    with library.no_grad():
        report(model(x), model(x, src_key_padding_mask=padding))
    report(nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 1).use_nested_tensor)
    odd = nn.TransformerEncoderLayer(9, 3, 16, batch_first=True)
    report(nn.TransformerEncoder(odd, 1).use_nested_tensor)
    report(lambda: nn.TransformerEncoderLayer(8, 2, activation="tanh"))


def decoder(library, report):
    nn = library.nn
    model = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, 0.0), 2)
    target, memory = library.randn(4, 3, 8), library.randn(5, 3, 8)
    causal = nn.Transformer.generate_square_subsequent_mask(4)
    output = model(target, memory, tgt_mask=causal)
    report(output)
    output.square().sum().backward()
    report([parameter.grad for parameter in model.parameters()])


def transformer(library, report):
    model = library.nn.Transformer(8, 2, 1, 1, 16, 0.0)
    report([name for name, _ in model.named_parameters()], list(model.parameters()))
    source, target = library.randn(5, 3, 8), library.randn(4, 3, 8)
    report(lambda: model(source, target[:, :2]), lambda: model(source[..., :7], target))
    mask = model.generate_square_subsequent_mask(4)
    report(model(source, target, tgt_mask=mask))


@pytest.mark.parametrize("scenario", scenarios(globals()))
def test_same_as_pytorch(scenario):
    compare(scenario, fakel, torch, tolerance=1e-4)
