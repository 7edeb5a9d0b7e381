"""How results, views, options and small objects print: statements, and what they print.

A case is source text: its statements but the last are executed, the last is shown by `str`.
`x` (2, 3) and `w` (3, 3) require gradients, `y` is a result, `v` a vector, `image` (1, 2, 4, 4).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

POINTWISE = """
abs acos acosh angle asin asinh atan atanh ceil cos cosh deg2rad digamma erf erfc erfinv exp exp2
expm1 floor frac lgamma log log10 log1p log2 logit neg positive rad2deg reciprocal relu round rsqrt
sgn sigmoid sign sin sinc sinh sqrt square tan tanh trunc i0 nan_to_num clone contiguous
"""

FUNCTIONAL = """
relu relu6 elu celu selu gelu silu mish softplus softsign logsigmoid hardtanh hardswish hardsigmoid
hardshrink softshrink tanhshrink leaky_relu rrelu threshold(x,0.1,1.0) prelu(x,v[:1]) glu(x,0)
softmax(x,1) log_softmax(x,1) softmin(x,0) normalize(x) dropout(x,0.0) dropout(x,0.5,False)
layer_norm(x,(3,)) rms_norm(x,(3,)) linear(x,w) linear(x,w,v) bilinear(x,x,w[None]) pad(x,(1,1))
pad(image,(1,1),"reflect") pad(image,(1,1),"circular") pad(image,(1,0,1,0),"replicate")
mse_loss(x,y) l1_loss(x,y) smooth_l1_loss(x,y) huber_loss(x,y) kl_div(x,y) soft_margin_loss(x,y)
nll_loss(x,k) cross_entropy(x,k) cross_entropy(x,y) binary_cross_entropy(x.sigmoid(),y.detach()*0)
binary_cross_entropy_with_logits(x,y) multi_margin_loss(x,k) poisson_nll_loss(x,y)
cosine_similarity(x,y) pairwise_distance(x,y) triplet_margin_loss(x,y,x+1)
margin_ranking_loss(x,y,x)
hinge_embedding_loss(x,y) cosine_embedding_loss(x,y,v[:2]) gaussian_nll_loss(x,y,x.exp())
conv1d(image[0],w[None,:2,:]) conv2d(image,filters) conv_transpose2d(image,filters)
conv3d(image[None],filters[None]) max_pool1d(image[0],2) max_pool2d(image,2) avg_pool1d(image[0],2)
avg_pool2d(image,2) adaptive_avg_pool1d(image[0],2) adaptive_avg_pool2d(image,2)
adaptive_avg_pool2d(image,1) adaptive_max_pool2d(image,2) lp_pool2d(image,2,2)
batch_norm(image,None,None,training=True) instance_norm(image) group_norm(image,1)
local_response_norm(image,2) interpolate(image,scale_factor=2)
interpolate(image,scale_factor=2,mode="bilinear") interpolate(image,size=3,mode="bicubic")
pixel_shuffle(image.repeat(1,2,1,1),2) unfold(image,2) fold(F.unfold(image,2),4,2) embedding(k,w)
embedding_bag(k[None],w) scaled_dot_product_attention(w,w,w) one_hot(k) grid_sample(image,grid)
affine_grid(x[None],(1,1,2,2)) channel_shuffle(image,2) gumbel_softmax(x*0,hard=True)*0
"""

METHODS = """
x+y|x-y|x*y|x/y|x**2|x**y|2**x|2+x|2-x|2*x|2/x|-x|x//2|x%2|x@w|w@v|v@v|v@w|w[None]@w|x.float()
x.double()|x.half()|x.to(torch.bfloat16)|x.int()|x.bool()|x>0|x==y|x.detach()|x.data|x.clone()
x.sum()|x.sum(0)|x.mean()|x.mean(1)|x.prod()|x.prod(0)|x.std()|x.var(0)|x.norm()|x.norm(1,0)
x.max()|x.min()|x.max(0)|x.min(1)[0]|x.amax(0)|x.amin((0,1))|x.argmax()|x.median()|x.median(0)
x.mode()|x.logsumexp(0)|x.cumsum(0)|x.cumprod(1)|x.cummax(0)|x.logcumsumexp(0)|x.nansum()
x.sort()|x.topk(2)|x.kthvalue(1)|x.argsort()|x.unique()|x.aminmax()|x.all()|x.any()|x.nanmedian(0)
x.view(3,2)|x.view(-1)|x.reshape(6)|x.t().reshape(6)|x.t()|x.T|x.mT|w.H|x.transpose(0,1)
x.permute(1,0)|x.unsqueeze(0)|x[None].squeeze()|x[None].squeeze(0)|x.flatten()|x.expand(2,2,3)
x.expand_as(y)|x.select(0,1)|x[0]|x[:,1]|x[...,None]|x[0:1]|x[:,::2]|x[k]|x[x>0]|x[k,1]|x[[0,1]]
x.narrow(1,0,2)|x.chunk(2)|x.split(1)|x.split([1,1])|x.unbind()|x.diagonal()|x.diag()|w.diag()
v.diag()|x.swapaxes(0,1)|x.movedim(0,1)|x.unflatten(1,(3,1))|x.unfold(1,2,1)|x.view_as(y)
x.as_strided((2,2),(1,1))|x.repeat(2,1)|x.tile(2)|x.flip(0)|x.roll(1)|x.rot90()|x.ravel()
x.tril()|x.triu()|x.clamp(0,1)|x.clamp(min=y)|x.clamp_min(0)|x.clamp_max(1)|x.masked_fill(x>0,0)
x.masked_select(x>0)|x.index_select(0,k)|x.gather(1,k[:,None])|x.scatter(1,k[:,None],0.5)
x.scatter_add(1,k[:,None],y)|x.index_add(0,k,y)|x.index_fill(0,k,1.0)|x.index_copy(0,k,y)
x.where(x>0,y)|x.take(k)|x.put(k,y[0,:2])|x.lerp(y,0.5)|x.addcmul(y,y)|x.addcdiv(y,y)|v.dot(v)
x.addmm(x,w)|x.add(y,alpha=2)|v.outer(v)|w.mm(w)|w.mv(v)|w[None].bmm(w[None])|w.det()|w.trace()
w.inverse()|w.matrix_exp()|w.logdet()|x.hypot(y)|x.atan2(y)|x.fmod(2)|x.remainder(y)|x.maximum(y)
x.minimum(y)|x.fmax(y)|x.dist(y)|x.renorm(2,0,1.0)|x.cross(y,1)|v.cross(v,0)
x.copysign(y)|x.xlogy(y)|x.logaddexp(y)|x.heaviside(y)|x.ldexp(k[:1])|x.diff()
torch.cat([x,y])|torch.stack([x,y])|torch.hstack([x,y])|torch.where(x>0,x,y)|torch.where(x>0,x,0.0)
torch.einsum("ij,jk->ik",x,w)|torch.matmul(x,w)|torch.tensordot(x,w,1)|torch.addmm(x,x,w)
torch.baddbmm(w[None],w[None],w[None])|torch.var_mean(x)|torch.std_mean(x,0)|torch.block_diag(x,w)
torch.cartesian_prod(v,v)|torch.meshgrid(v,v,indexing="ij")|torch.kron(x,x)|torch.cdist(x,x)
torch.linalg.norm(x)|torch.linalg.vector_norm(x,1)|torch.linalg.solve(w,v)|torch.linalg.inv(w)
torch.linalg.svdvals(w)|torch.linalg.cholesky(w@w.T)
torch.linalg.slogdet(w)|torch.linalg.multi_dot([x,w,w])
torch.trapezoid(x)
torch.fft.fft(x)|torch.fft.rfft(x).abs()|torch.complex(x,y)|torch.complex(x,y).real|torch.polar(x,y)
torch.complex(x,y).conj()|torch.view_as_real(torch.complex(x,y))|torch.searchsorted(v,v)
torch.bernoulli(x*0)|torch.broadcast_tensors(x,v)
torch.pow(2.0,x)|torch.histc(x.detach())[:3]|torch.special.expit(x)|torch.special.entr(x)
torch.atleast_3d(x)|torch.squeeze(x)
"""

INPLACE = """
z.add_(1) z.sub_(y) z.mul_(2) z.div_(2) z.neg_() z.exp_() z.zero_() z.fill_(3.0) z.copy_(y)
z.clamp_(0,1) z.relu_() z.sigmoid_() z.pow_(2) z.masked_fill_(x>0,1.0) z.index_add_(0,k,y)
z.addcmul_(y,y) z.lerp_(y,0.5) z.sqrt_() z.t_() z.squeeze_() z.unsqueeze_(0) z.detach_()
z.requires_grad_() z.scatter_(1,k[:,None],0.5) z.transpose_(0,1) z.resize_(0) z.uniform_(0,0)
z.normal_(0,0) z.bernoulli_(1.0) z.round_() z.tril_() z.index_fill_(0,k,2.0)
"""

STATEMENTS = [
    "z[0] = 1; z",
    "z[0] = y[1]; z",
    "z[:, 1] += 2; z",
    "z[0].mul_(2); z",
    "z[0].mul_(2); z[0]",
    "z.view(-1)[2:4].zero_(); z",
    "z.view(3, 2); z.view(3, 2).add_(1); z",
    "a = z.view(3, 2); a.mul_(2); a",
    "a = z.t(); z.mul_(2); a",
    "a = z[0]; z.add_(1); a",
    "a = z.detach(); a.add_(1); z",
    "z[k, k] = 5; z",
    "z += 1; z",
    "z @= w; z",
    "z.data.fill_(2); z",
    "z.diagonal().fill_(2); z",
    "z.unbind()[0]; z.unbind()",
    "a = torch.zeros(2, 3); a[0] = y[0]; a",
    "a = torch.zeros(2, 3); a.copy_(y); a",
    "a = torch.zeros(2, 3); a += y; a",
    "a = torch.zeros(4); a[1:3] = v[:2]; a[1:3]",
    "a = torch.zeros(4); b = a[1:3]; b.copy_(v[:2]); b",
    "a = torch.zeros(4); b = a.view(2, 2); b.copy_(w[:2, :2]); a",
    "torch.nn.init.zeros_(torch.nn.Parameter(y.detach().clone()))",
    "(x * 2).sum().backward(); x.grad",
    "x.sum().backward(create_graph=True); x.grad",
    "torch.autograd.grad((x ** 3).sum(), x, create_graph=True)",
    "torch.autograd.grad((x ** 2).sum(), x)",
    "torch.nn.Parameter(torch.zeros(2, 3)) * 2",
    "{'w': torch.nn.Parameter(torch.zeros(2)), 'x': [torch.zeros(1), (torch.ones(()),)]}",
    "y.grad_fn is None; y.grad_fn.next_functions[0][1]",
    "y.grad_fn.name()",
    "x.grad_fn",
    "(x + 1).grad_fn.name(); (x.view(-1) + 1).grad_fn.next_functions[0][0].name()",
]

OBJECTS = """
x.shape|x.size()|torch.Size([])|torch.Size([3])|torch.Size([2,3])[1:]
torch.Size([2])+torch.Size([3])
x.stride()|x.dtype|torch.float32|torch.float|torch.double|torch.half|torch.bfloat16|torch.int64
torch.long|torch.uint8|torch.bool|torch.complex64|torch.cfloat|torch.uint16|torch.int8|[torch.int16]
x.device|torch.device("cpu")|torch.device("cpu",0)|torch.device("cpu:0")|[torch.device("cpu")]
str(torch.device("cpu"))|str(torch.device("cpu:0"))|torch.device("cuda:1")|torch.device("cuda")
torch.device("meta")|torch.device("mps")|x.layout|torch.strided
torch.contiguous_format
torch.channels_last|torch.channels_last_3d|torch.preserve_format
torch.finfo(torch.float32)|torch.finfo(torch.float16)|torch.finfo(torch.bfloat16)|torch.finfo()
torch.finfo(torch.float64)|torch.finfo(torch.complex64)|torch.iinfo(torch.int8)
torch.iinfo(torch.int64)
torch.iinfo(torch.uint8)|torch.iinfo(torch.int32)|torch.iinfo(torch.int16)
torch.finfo(torch.float32).eps
torch.get_default_dtype()|torch.result_type(x,1)|torch.promote_types(torch.int8,torch.uint8)
torch.is_grad_enabled()|x.type()|k.type()|(x>0).type()
torch.FloatTensor(2).fill_(1)|torch.LongTensor([1,2])
torch.Generator().device|torch.empty(0).device.type
torch.return_types.max(x.detach().max(0))|x.detach().sort().indices|x.detach().topk(1).values
tuple(x.detach().max(0))
torch.nn.init.calculate_gain("relu")
x.is_leaf|x.requires_grad|len(x)|x.numel()|x.ndim|x.nbytes|x.element_size()|x.tolist()|x[0,0].item()
torch.tensor(1).type(torch.float64)
torch.set_grad_enabled(True)|torch.tensor([1.5,2.]).data|torch.tensor(1).data
torch.nn.utils.rnn.pack_sequence([x[0].detach(),x[1,:2].detach()])|torch.var_mean(x.detach())
torch.quantile(v,0.5)|torch.tensor([True])|torch.tensor([[True,False]])|torch.tensor(3)
torch.tensor(3.)
torch.tensor(2+3j)|torch.tensor([1+2j,-0.5j])|torch.tensor([1e10,1j])
torch.tensor([float("nan"),1j])
torch.tensor(-0.)|torch.tensor([-0.,0.])|torch.tensor([-0.,0.5])|torch.tensor([float("inf"),-0.])
torch.tensor(float("nan"))|torch.tensor([float("inf"),1.])
torch.tensor([float("-inf"),2.5,float("nan")])
torch.tensor([float("nan")]*3)|torch.tensor([1e-10,1.])|torch.tensor([1e8,1.])
torch.tensor([100000000.])
torch.tensor([99999999.])|torch.tensor([123456789.])|torch.tensor([1e-4,1e-4])
torch.tensor([9.9e-5])
torch.tensor([1000.,1.5])|torch.tensor([1001.,1.])|torch.tensor([1001.,1.5])
torch.tensor([0.001,1.0])
torch.tensor([1e38,3e38])|torch.tensor([1e-45])|torch.tensor([1e-40,1.])
torch.tensor(1e-300).double()
torch.tensor([1e300,1e-300],dtype=torch.float64)|torch.tensor([16777216.])
torch.tensor([0.1],dtype=torch.float16)
torch.tensor([65504.,1.],dtype=torch.float16)|torch.tensor([0.1,100.],dtype=torch.bfloat16)
torch.tensor([[]])|torch.empty(0)|torch.empty(2,0)|torch.empty(0,3,dtype=torch.int64)
torch.empty(2,0,3)
torch.empty(0,dtype=torch.bool)|torch.zeros(0,requires_grad=True)|torch.empty(0,2)*x.sum()
torch.tensor([])
torch.zeros(1,0).sum(1)|torch.arange(1001)|torch.arange(1000)|torch.arange(1001.)|torch.zeros(40,40)
torch.arange(60).view(3,20)|torch.arange(8000).view(20,20,20)|torch.eye(101)|torch.arange(2000)*1000
torch.zeros(2,3,1100)|torch.ones(1,1,1,1)|torch.arange(24).view(2,3,2,2)|torch.zeros(1,1001)
torch.full((3,),7)|torch.full((2,2),True)|torch.full((2,),2j)|torch.linspace(0,1,11)
torch.logspace(0,9,4)
torch.arange(-5,5)|torch.arange(0,1,0.25)|torch.tensor([2**62,-2**63])
torch.tensor([255],dtype=torch.uint8)
torch.tensor(7,dtype=torch.int8)|torch.tensor([1,2]).double()|torch.tensor([1.5]).half()*2
torch.arange(1100.)*1e-7|torch.arange(1100.)+0.5|torch.ones(1200)>0|torch.arange(1100)*(1+1j)
x.t().detach()[1]|torch.arange(10)[::3]|torch.arange(12).view(3,4).t()|torch.arange(3).expand(2,3)
torch.randn(2,2).mul(0).abs()|torch.zeros(3).bool()|torch.tensor([1,0,1]).bool()
~torch.zeros(2).bool()
"""

OPTIONS = [
    "precision=2",
    "precision=10",
    "precision=0",
    "threshold=3",
    "threshold=3, edgeitems=1",
    "linewidth=30",
    "linewidth=200, precision=6",
    "profile='short'",
    "profile='full'",
    "profile='default', precision=3",
    "sci_mode=True",
    "sci_mode=False",
    "sci_mode=True, precision=1",
]
OPTION_VALUES = [
    "x",
    "y",
    "torch.tensor([1e-5, 12345.678, 3])",
    "torch.arange(30.) / 7",
    "torch.tensor([1.5+1e-5j, 2])",
    "torch.arange(12).view(3, 4)",
    "torch.tensor(3.14159265358979, dtype=torch.float64)",
    "torch.tensor([float('nan'), 1, float('inf')])",
]

FORMATS = """
f"{x[0,0]}"|f"{x[0,0]:.3f}"|f"{x.sum():8.2f}"|f"{x.mean().detach():e}"|f"{torch.tensor(3):d}"
f"{torch.tensor(3):05d}"|f"{torch.tensor([2.5]):.1f}"|f"{torch.tensor([[2.5]]):.1f}"|f"{v}"|f"{v!r}"
f"{torch.tensor(True)}"|f"{torch.tensor(True):d}"|f"{torch.tensor(0.5):.0%}"
f"{torch.tensor(1e6):,}"
f"{torch.tensor(1.25):>8}"|f"{torch.tensor(7):x}"|f"{torch.tensor(1+2j)}"
f"{torch.tensor(1+2j):.1f}"
f"{v:.2f}"|f"{torch.empty(0):.2f}"|f"{torch.tensor(1.5):d}"|f"{x.shape}"|f"{x.shape!s:>20}"
f"{x.dtype}"|f"{x.device}"|f"{torch.device('cpu',0)}"|"{:.2f} {}".format(x.sum(),v.sum())
"%s" % v|"%.2f" % x.sum()|"%d" % torch.tensor(3)|"%5.1f" % torch.tensor([2.5])|str(x)|str([x,v])
f"{torch.nn.Parameter(torch.tensor(1.5))}"|f"{torch.nn.Parameter(torch.tensor(1.5)):.2f}"
f"{x.sum().detach()}"|f"{x.sum():.4f}"|f"{x.grad}"|f"{torch.tensor(float('nan')):.2f}"
f"{torch.tensor(1.5,dtype=torch.float16)}"|f"{torch.tensor(0.1,dtype=torch.float64)}"
f"{torch.tensor(0.1)}"|f"{torch.tensor([0.1])}"|f"{torch.tensor(3)}"|f"{k[0]}"|f"{k[0]:>4}"
str(torch.tensor(0.1).item())|repr(torch.tensor(1e-8))|format(x.sum())|format(v,"")|format(v,"s")
"""


def names(torch: Any) -> dict[str, Any]:
    """What the cases may use."""
    x = torch.tensor([[0.5, -1.25, 2.0], [0.25, 2.75, -0.75]], requires_grad=True)
    w = torch.tensor([[2.0, 0.5, 1.0], [0.0, 1.5, -1.0], [1.0, 0.25, 3.0]], requires_grad=True)
    image = (torch.arange(32.0).reshape(1, 2, 4, 4) / 8).requires_grad_()
    filters = (torch.arange(16.0).reshape(2, 2, 2, 2) / 4 - 1).requires_grad_()
    return {
        "torch": torch,
        "F": torch.nn.functional,
        "x": x,
        "w": w,
        "v": torch.tensor([1.0, -2.0, 0.5], requires_grad=True),
        "k": torch.tensor([1, 0]),
        "y": x * 1,
        "z": x * 1,
        "image": image,
        "filters": filters,
        "grid": torch.tensor([[[[0.0, 0.5], [-0.5, 0.25]]]]),
    }


def shown(torch: Any, text: str) -> str:
    """What the last of the statements prints, or the error that they raise."""
    *before, last = text.split("; ")
    given = names(torch)
    try:
        exec("; ".join(before), given)
        return str(eval(last, given))
    except (TypeError, ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        torch.set_printoptions(profile="default")


def _functional(text: str) -> str:
    """`softmax(x,1)` and `relu`, which takes x, as calls from torch.nn.functional."""
    return f"F.{text}" if "(" in text else f"F.{text}(x)"


def texts() -> list[str]:
    """Every case's text."""
    split = [part for line in (METHODS + OBJECTS).split("\n") if line for part in line.split("|")]
    return [
        *(f"x.{name}()" for name in POINTWISE.split()),
        *(_functional(text) for text in FUNCTIONAL.split()),
        *split,
        *INPLACE.split(),
        *STATEMENTS,
        *(
            f"torch.set_printoptions({options}); {value}"
            for options in OPTIONS
            for value in OPTION_VALUES
        ),
        *(part for line in FORMATS.strip().splitlines() for part in line.split("|")),
    ]


def cases(torch: Any) -> dict[str, Callable[[], str]]:
    """All of them."""
    return {text: functools.partial(shown, torch, text) for text in texts()}
